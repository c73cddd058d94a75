//! Outputs that Go's text/template, sprig and Loki give for the same templates. Expected values come from their
//! documentation and from recorded answers, never from this code.

use std::borrow::Cow;

use super::{Fields, Template};

struct Row;

impl Fields for Row {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.all().into_iter().find(|(known, _)| known == name).map(|(_, value)| Cow::Owned(value))
    }

    fn all(&self) -> Vec<(String, String)> {
        [("level", "error"), ("msg", "user \"bo\" logged in"), ("n", "42"), ("status", "200")].map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    fn line(&self) -> Cow<'_, str> {
        Cow::Borrowed(r#"{"tags":["a","b"],"n":1.5,"o":{"k":"v"},"t":true,"z":null}"#)
    }

    fn timestamp(&self) -> i64 {
        1_793_491_553_123_456_789
    }

    fn now(&self) -> i64 {
        0
    }
}

fn render(text: &str) -> Result<String, String> {
    let template = Template::parse("line", text).map_err(|error| error.to_string())?;
    let mut out = String::new();
    template.render(&Row, &mut out).map(|()| out)
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (template, expected) in cases {
        assert_eq!(render(template).as_deref(), Ok(*expected), "{template}");
    }
}

#[test]
fn text_trim_markers_and_comments() {
    check(&[
        ("plain", "plain"),
        ("", ""),
        ("a {{- 1 -}} b", "a1b"),
        ("a {{ 1 }} b", "a 1 b"),
        ("a{{/* gone */}}b", "ab"),
        ("a {{- /* gone */ -}} b", "ab"),
        ("a\n{{- \"x\"}}\n", "ax\n"),
        ("{{-1}}", "-1"),
        ("}} {", "}} {"),
    ]);
}

#[test]
fn fields_variables_and_pipelines() {
    check(&[
        ("{{.status}} {{.msg}}", "200 user \"bo\" logged in"),
        ("{{.nope}}|", "|"),
        ("{{$x := .level}}{{$x}}-{{$x | upper}}", "error-ERROR"),
        ("{{$x := 1}}{{$x = 2}}{{$x}}", "2"),
        ("{{$.level}}", "error"),
        ("{{ .level | upper | printf \"%s-%s\" \"a\" }}", "a-ERROR"),
        ("{{ (printf \"%d\" 5) }}", "5"),
        ("{{with $x := .level}}{{$x}}{{end}}", "error"),
        ("{{.}}", "map[level:error msg:user \"bo\" logged in n:42 status:200]"),
    ]);
}

#[test]
fn control_flow() {
    check(&[
        ("{{if eq .level \"error\"}}E{{else if eq .level \"warn\"}}W{{else}}other{{end}}", "E"),
        ("{{if eq .level \"x\"}}E{{else if eq .level \"error\"}}W{{else}}other{{end}}", "W"),
        ("{{if .nope}}a{{else}}b{{end}}", "b"),
        ("{{with .level}}L={{.}}{{end}}", "L=error"),
        ("{{with .nope}}x{{else}}none{{end}}", "none"),
        ("{{with .nope}}x{{else with .level}}{{.}}{{end}}", "error"),
        ("{{range $i, $t := (fromJson __line__).tags}}{{$i}}={{$t}};{{end}}", "0=a;1=b;"),
        ("{{range (fromJson __line__).tags}}{{.}}{{else}}none{{end}}", "ab"),
        ("{{range (fromJson __line__).none}}{{.}}{{else}}none{{end}}", "none"),
        ("{{range $k, $v := (fromJson __line__).o}}{{$k}}={{$v}}{{end}}", "k=v"),
        ("{{range $i, $t := (fromJson __line__).tags}}{{if eq $i 1}}{{break}}{{end}}{{$t}}{{end}}", "a"),
        ("{{range (fromJson __line__).tags}}{{if eq . \"a\"}}{{continue}}{{end}}{{.}}{{end}}", "b"),
        ("{{range 3}}{{.}}{{end}}", "012"),
    ]);
}

#[test]
fn comparisons_and_logic() {
    check(&[
        ("{{ and .level .msg }} {{ or .nope .level }} {{ not .nope }}", "user \"bo\" logged in error true"),
        ("{{ gt (int .status) 400 }} {{ lt 1 2 }} {{ ge 2 2 }} {{ le 3 2 }} {{ ne \"a\" \"b\" }}", "false true true false true"),
        ("{{ eq .level \"a\" \"error\" }}", "true"),
        ("{{ and false (index .nope 9) }}", "false"),
        ("{{ eq 1.5 1.5 }}{{ lt \"a\" \"b\" }}", "truetrue"),
    ]);
}

#[test]
fn strings() {
    check(&[
        ("{{ToLower \"ABC\"}}{{ToUpper \"abc\"}}{{lower \"Ü\"}}", "abcABCü"),
        ("{{Replace \"aaa\" \"a\" \"b\" 2}} {{Replace \"aaa\" \"a\" \"b\" -1}}", "bba bbb"),
        ("{{Trim \"  x \" \" \"}}|{{TrimLeft \"xxa\" \"x\"}}|{{TrimRight \"axx\" \"x\"}}", "x|a|a"),
        ("{{TrimPrefix \"abc\" \"a\"}}{{TrimSuffix \"abc\" \"c\"}}{{TrimSpace \" y \"}}", "bcaby"),
        ("{{trimPrefix \"us\" .msg}}", "er \"bo\" logged in"),
        ("{{trimAll \"$\" \"$5.00$\"}} {{trimSuffix \"-\" \"hello-\"}} {{trim \"  hello  \"}}", "5.00 hello hello"),
        ("{{.msg | trunc 5}}|{{trunc -5 \"hello world\"}}", "user |world"),
        ("{{substr 0 3 .msg}} {{substr 2 -1 \"hello\"}}", "use llo"),
        ("{{.msg | replace \"user\" \"account\"}}", "account \"bo\" logged in"),
        ("{{repeat 3 \"hi\"}}", "hihihi"),
        ("{{contains \"cat\" \"catch\"}} {{hasPrefix \"ca\" \"cat\"}} {{hasSuffix \"x\" \"cat\"}}", "true true false"),
        ("{{\"a\\nb\" | indent 2}}", "  a\n  b"),
        ("{{\"a\" | nindent 1}}", "\n a"),
        ("{{title \"hello wörld o'neil\"}}", "Hello Wörld O'neil"),
        ("{{\"abc\" | alignLeft 5}}|{{\"abc\" | alignRight 5}}|{{alignLeft 2 \"abc\"}}|{{alignRight 2 \"abc\"}}", "abc  |  abc|ab|bc"),
        ("{{default \"none\" .nope}} {{default \"none\" .level}} {{.nope | default \"x\"}}", "none error x"),
        ("{{len .level}}{{len (fromJson __line__).tags}}", "52"),
        ("{{index (fromJson __line__).tags 1}}{{index (fromJson __line__).o \"k\"}}{{slice \"abcdef\" 1 3}}", "bvbc"),
        ("{{print \"a\" 1 2 \"b\"}}|{{println \"a\" 1}}|", "a1 2b|a 1\n|"),
        ("{{html \"<a>\"}} {{js \"it's\"}} {{urlquery \"a b&c\"}}", "&lt;a&gt; it\\'s a+b%26c"),
    ]);
}

#[test]
fn regexes_and_encodings() {
    check(&[
        ("{{regexReplaceAll \"(e+)\" .msg \"<$1>\"}}", "us<e>r \"bo\" logg<e>d in"),
        ("{{regexReplaceAll \"(?P<x>o)\" \"foo\" \"${x}-\"}} {{regexReplaceAll \"a(x*)b\" \"-ab-axxb-\" \"$1W\"}}", "fo-o- ---"),
        ("{{regexReplaceAllLiteral \"e\" .msg \"$1\"}}", "us$1r \"bo\" logg$1d in"),
        ("{{count \"o\" .msg}}", "2"),
        ("{{urlencode .msg}} {{\"a%20b+c\" | urldecode}}", "user+%22bo%22+logged+in a b c"),
        ("{{b64enc \"hello\"}} {{b64dec \"aGVsbG8=\"}} {{b64dec \"aGVsbG8\"}}", "aGVsbG8= hello hello"),
        ("{{b64dec \"a!\"}}", "illegal base64 data at input byte 1"),
        (
            "{{fromJson \"nope\"}} {{(fromJson __line__).n}} {{(fromJson __line__).t}} {{(fromJson __line__).z}} {{fromJson __line__}}",
            "<no value> 1.5 true <no value> map[n:1.5 o:map[k:v] t:true tags:[a b] z:<nil>]",
        ),
    ]);
}

#[test]
fn numbers() {
    check(&[
        ("{{ .status | int | add 1 }} {{ sub (int .status) 100 }} {{ mul 2 3 4 }} {{ mod 10 3 }} {{ div 7 2 }}", "201 100 24 1 3"),
        ("{{ addf 1.5 2 }} {{ divf 1 4 }} {{ subf 5 1.5 }} {{ mulf 1.5 2 }}", "3.5 0.25 3.5 3"),
        ("{{ floor 3.7 }} {{ ceil 3.2 }} {{ round 3.14159 2 }} {{ round 3.5 0 }}", "3 4 3.14 4"),
        ("{{ max 1 2 3 }} {{ min 1 2 3 }} {{ maxf 1 2.5 }} {{ minf 1 0.5 }}", "3 1 2.5 0.5"),
        ("{{ int \"x\" }} {{ int 3.9 }} {{ float64 \"2.50\" }} {{ add \"1\" 2 }}", "0 3 2.5 3"),
        ("{{ 1e3 }} {{ 0x10 }} {{ 1_000 }} {{ 'a' }} {{ 1e21 }} {{ 0.00001 }}", "1000 16 1000 97 1e+21 1e-05"),
        ("{{ bytes \"3GiB\" }} {{ bytes \"1.1MB\" }} {{ mulf 123456 1 }} {{ mulf 1234567 1 }}", "3.221225472e+09 1.1e+06 123456 1.234567e+06"),
        ("{{ bytes \"1.5KB\" }} {{ duration \"381.3ms\" }} {{ duration_seconds \"1m\" }}", "1500 0.3813 60"),
    ]);
}

#[test]
fn printf_verbs() {
    check(&[
        (r#"{{ printf "%-10s|%5d" .level (int .status) }}"#, "error     |  200"),
        (r#"{{ printf "%05d %+d %x %X %o %b %c %q %U" 42 42 255 255 8 5 65 65 65 }}"#, "00042 +42 ff FF 10 101 A 'A' U+0041"),
        (r#"{{ printf "%.2f %8.3f|%-8.1f|%e %g" 3.14159 3.14159 2.5 1234.5678 0.5 }}"#, "3.14    3.142|2.5     |1.234568e+03 0.5"),
        (r#"{{ printf "%v %v %v %s %q %t %%" 1 "a" 2.5 "x" "y\"z" true }}"#, "1 a 2.5 x \"y\\\"z\" true %"),
        (r#"{{ printf "%d" "x" }} {{ printf "%s" }} {{ printf "x" 1 }}"#, "%!d(string=x) %!s(MISSING) x%!(EXTRA int=1)"),
        (r#"{{ printf "%.3s|%6.2s|%x" "abcdef" "abcdef" "hi" }}"#, "abc|    ab|6869"),
    ]);
}

#[test]
fn times() {
    check(&[
        (
            "{{ __timestamp__ | unixEpoch }} {{ __timestamp__ | unixEpochMillis }} {{ __timestamp__ | unixEpochNanos }}",
            "1793491553 1793491553123 1793491553123456789",
        ),
        ("{{ __timestamp__ | date \"2006-01-02T15:04:05Z\" }}", "2026-11-01T00:05:53Z"),
        ("{{ __timestamp__ | date \"Mon, 02 Jan 06 3:04:05.000 PM -07:00 MST\" }}", "Sun, 01 Nov 26 12:05:53.123 AM +00:00 UTC"),
        ("{{ __timestamp__ | date \"January _2 2006 15:04:05.999999999 Z07:00 002\" }}", "November  1 2026 00:05:53.123456789 Z 305"),
        ("{{ __timestamp__ }}", "2026-11-01 00:05:53.123456789 +0000 UTC"),
        ("{{ unixToTime \"1793491200\" }} {{ unixToTime \"19373\" | date \"2006-01-02\" }}", "2026-11-01 00:00:00 +0000 UTC 2023-01-16"),
        ("{{ toDate \"2006-01-02\" \"2021-11-02\" | date \"02/01/2006\" }}", "02/11/2021"),
        ("{{ (toDateInZone \"2006-01-02 15:04\" \"Europe/Berlin\" \"2021-07-02 12:00\") | date \"15:04 MST -0700\" }}", "12:00 CEST +0200"),
        ("{{ toDateInZone \"2006-01-02\" \"No/Where\" \"2021-11-02\" | unixEpoch }}", "1635811200"),
        ("{{ __timestamp__.Unix }} {{ (__timestamp__).Year }} {{ __timestamp__.Format \"15:04\" }}", "1793491553 2026 00:05"),
        ("{{ date \"2006\" 0 }}", "1970"),
    ]);
}

#[test]
fn templates_that_do_not_parse() {
    for (template, error) in [
        ("{{", "template: line:1: unclosed action"),
        ("{{ nosuch .x }}", "template: line:1: function \"nosuch\" not defined"),
        ("a\n{{ if }}{{end}}", "template: line:2: missing value for if"),
        ("{{ if .x }}", "template: line:1: unexpected EOF"),
        ("{{ end }}", "template: line:1: unexpected {{end}}"),
        ("{{ .x | }}", "template: line:1: missing value for command"),
        ("{{ $x }}", "template: line:1: undefined variable \"$x\""),
        ("{{ \"open }}", "template: line:1: unterminated quoted string"),
        ("{{ (.x }}", "template: line:1: unclosed left paren"),
        ("{{ .x ) }}", "template: line:1: unexpected right paren"),
        ("{{/* open", "template: line:1: unclosed comment"),
        ("{{break}}", "template: line:1: {{break}} outside {{range}}"),
        ("{{ .x | \"a\" }}", "template: line:1: non executable command in pipeline stage 2"),
    ] {
        assert_eq!(render(template), Err(error.to_owned()), "{template}");
    }
}

#[test]
fn templates_that_fail_on_a_row() {
    for (template, error) in [
        ("{{ add }}", "wrong number of args for add"),
        ("{{ ToLower 5 }}", "executing \"line\" at <ToLower 5>: wrong type for value; expected string; got int"),
        ("{{ eq .level 5 }}", "error calling eq: incompatible types for comparison"),
        ("{{ div 1 0 }}", "error calling div: runtime error: integer divide by zero"),
        ("{{ regexReplaceAll \"(\" .msg \"\" }}", "error calling regexReplaceAll: error parsing regexp"),
        ("{{ index (fromJson __line__).tags 7 }}", "error calling index: index out of range: 7"),
        ("{{ unixToTime \"1\" }}", "error calling unixToTime: unable to parse time '1'"),
        ("{{ .level.x }}", "can't evaluate field x in type string"),
        ("{{ \"a\" .level }}", "can't give argument to non-function"),
        ("{{ range .level }}{{end}}", "range can't iterate over error"),
        ("{{ repeat 100000000 \"x\" }}", "longer than"),
        ("{{ range 100000 }}{{ range 100000 }}x{{end}}{{end}}", "exceeded the limit"),
    ] {
        let message = render(template).unwrap_err();
        assert!(message.contains(error), "{template}: {message}");
        assert!(message.starts_with("template: line:"), "{message}");
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("{}1{}", "{{if 1}}".repeat(5000), "{{end}}".repeat(5000));
    assert!(render(&deep).unwrap_err().contains("nested deeper"));
    let parens = format!("{{{{{}1{}}}}}", "(".repeat(5000), ")".repeat(5000));
    assert!(render(&parens).unwrap_err().contains("nested deeper"));
}

#[test]
fn what_a_template_reads() {
    let template = Template::parse("line", "{{.a}}{{if .b.c}}{{range .d}}{{upper .e}}{{end}}{{else}}{{(printf .f).g}}{{end}}").unwrap();
    assert_eq!(template.field_names(), ["a", "b", "d", "e", "f"]);
    assert_eq!(Template::parse("line", "{{.a}}").unwrap().single_field(), Some("a"));
    assert_eq!(Template::parse("line", "{{.a.b}}").unwrap().single_field(), None);
    assert!(Template::parse("line", "{{ __line__ }}").unwrap().reads_more_than_labels());
}

/// Templates that end in time and memory only because something counts; each took minutes or gigabytes without.
#[test]
fn work_and_memory_of_one_evaluation_are_bounded() {
    let long = |times: usize, text: &str| text.repeat(times);
    for (what, template, error) in [
        ("loops without a body", "{{ range 1000000 }}{{ range 1000000 }}{{ end }}{{ end }}".to_owned(), "exceeded the limit"),
        ("counters of nested loops", format!("{}{}", long(90, "{{ range 1000000 }}"), long(90, "{{ end }}")), "exceeded the limit"),
        ("long texts in a loop", "{{ range 1000000 }}{{ $x := repeat 4000000 \"x\" }}{{ end }}".to_owned(), "exceeded the limit"),
        ("long arguments", format!("{{{{ $a := repeat 4000000 \"x\" }}}}{{{{ print {} }}}}", long(10_000, "$a ")), "exceeded the limit"),
        ("texts between all characters", "{{ regexReplaceAllLiteral \"\" (repeat 4000000 \"x\") (repeat 4000000 \"y\") }}".to_owned(), "is longer than"),
        ("a match many times", "{{ regexReplaceAll \".+\" (repeat 1000000 \"x\") (repeat 1000000 \"$0\") }}".to_owned(), "is longer than"),
        ("padding", format!("{{{{ printf (repeat 20000 \"%9999d\") {} }}}}", long(20_000, "1 ")), "is longer than"),
        ("a new regex each time", "{{ range $i := 1000000 }}{{ $n := count (printf \"a{%d}\" $i) \"a\" }}{{ end }}".to_owned(), "exceeded the limit"),
    ] {
        let result = render(&template);
        assert!(result.as_ref().is_err_and(|text| text.contains(error)), "{what}: {:?}", result.map(|text| text.len()));
    }
}

#[test]
fn trimming_many_characters_takes_one_look_at_each() {
    let characters: String = (0x1000..0x9000u32).filter_map(char::from_u32).collect();
    let template = format!("{{{{ len (trimAll \"x{characters}\" (repeat 4000000 \"x\")) }}}}");
    assert_eq!(render(&template).as_deref(), Ok("0"));
}

#[test]
fn a_number_has_one_sign() {
    let smallest = "80000000000000000000000000000000";
    check(&[(&format!("{{{{ int \"-0x-{smallest}\" }}}}"), "0"), ("{{ int \"--5\" }} {{ int \"0x+5\" }} {{ int \"-0x5\" }} {{ int \"+7\" }}", "0 0 -5 7")]);
}
