//! JSON as it stands in a body: members in their order, which `serde_json` forgets.

/// The skeleton of a JSON text: `{status:s,data:{result:[{stream:{},values:[[s,s]]}]}}`. Members keep their order; `s`, `n`, `b` and `null` stand for values;
/// neighbouring objects or arrays of the same skeleton are shown once. Panics on what is no JSON.
pub(super) fn shape(text: &str) -> String {
    serde_json::from_str::<serde_json::Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    reader.value()
}

/// The text of the member `name` of the outermost object, or of a member's member: `data.stats`.
pub(super) fn member<'t>(text: &'t str, path: &str) -> &'t str {
    path.split('.').fold(text, |text, name| {
        let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
        let found = reader.members().into_iter().find(|(found, _)| found == name);
        let (_, range) = found.unwrap_or_else(|| panic!("no member {name} in {text}"));
        &text[range]
    })
}

/// The body of a query without its statistics, which must be the last member of `data`, and without the newline at the end, which must be there.
pub(super) fn bare(text: &str) -> String {
    let stats = member(text, "data.stats");
    let (before, after) = text.split_once(&format!(r#","stats":{stats}"#)).unwrap_or_else(|| panic!("no stats at the end of data: {text}"));
    assert_eq!(after, "}}\n", "{text}");
    format!("{before}}}}}")
}

struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> u8 {
        while self.bytes[self.at].is_ascii_whitespace() {
            self.at += 1;
        }
        self.bytes[self.at]
    }

    fn value(&mut self) -> String {
        match self.peek() {
            b'{' => {
                let text = std::str::from_utf8(self.bytes).unwrap();
                let members = self.members();
                let members = members.into_iter().map(|(name, range)| format!("{name}:{}", Reader { bytes: text[range].as_bytes(), at: 0 }.value()));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }
            b'[' => {
                let mut items: Vec<String> = Vec::new();
                self.items(|reader| {
                    let item = reader.value();
                    if !item.starts_with(['{', '[']) || items.last() != Some(&item) {
                        items.push(item);
                    }
                });
                format!("[{}]", items.join(","))
            }
            b'"' => {
                self.string();
                "s".to_owned()
            }
            _ => {
                let start = self.at;
                while self.at < self.bytes.len() && !b",]} \n".contains(&self.bytes[self.at]) {
                    self.at += 1;
                }
                match &self.bytes[start..self.at] {
                    b"null" => "null",
                    b"true" | b"false" => "b",
                    _ => "n",
                }
                .to_owned()
            }
        }
    }

    /// Name and place of each member of the object that begins here.
    fn members(&mut self) -> Vec<(String, std::ops::Range<usize>)> {
        assert_eq!(self.peek(), b'{');
        let mut members = Vec::new();
        self.items(|reader| {
            reader.peek();
            let name = reader.string();
            assert_eq!(reader.peek(), b':');
            reader.at += 1;
            reader.peek();
            let start = reader.at;
            reader.value();
            members.push((name, start..reader.at));
        });
        members
    }

    /// Calls `item` before each item of an array or object.
    fn items(&mut self, mut item: impl FnMut(&mut Self)) {
        self.at += 1;
        while !b"]}".contains(&self.peek()) {
            item(self);
            if self.peek() == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while self.bytes[self.at] != b'"' {
            self.at += if self.bytes[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        serde_json::from_slice(&self.bytes[start..self.at]).unwrap()
    }
}

#[test]
fn skeletons_keep_the_order_of_members() {
    assert_eq!(shape(r#"{"b":[["1","x"],["2","y"]],"a":{"x\"}":null, "n" : [1,-2.5e3,true]}}"#), r#"{b:[[s,s]],a:{x"}:null,n:[n,n,b]}}"#);
    assert_eq!(shape(r#"[{"a":1},{"a":2},{"b":1},{},[]]"#), "[{a:n},{b:n},{},[]]");
    assert_eq!(member(r#"{"a":{"b":[1,{"c":"}"}],"d":2}}"#, "a.b"), r#"[1,{"c":"}"}]"#);
    assert_eq!(bare("{\"status\":\"success\",\"data\":{\"result\":[],\"stats\":{\"a\":{}}}}\n"), r#"{"status":"success","data":{"result":[]}}"#);
}
