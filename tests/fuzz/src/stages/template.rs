//! `line_format` and `label_format`: a template, a line, and the value of a label `v`.

use logql::ast::{LabelFormat, LabelFormatValue, Stage};
use query_fn::labels::Category;
use query_fn::pipeline::NeededLabels;

use super::{base, compile, parts, run, text};

/// Longest output of a template, and the text that may be on its way when the limit is reached.
const MAX_BYTES: usize = 2 * (4 << 20) + 65536;

/// Any text is a template or an error; what it writes is bounded, always the same, and the same for a line as for a label.
pub fn run_template(data: &[u8]) {
    let [template, line, value] = parts(data);
    let (Some(template), Some(line), Some(value)) = (text(template), text(line), text(value)) else { return };
    let mut labels = base();
    labels.push((Category::Parsed, "v".to_owned(), value.to_owned()));
    let assignment = LabelFormat { name: "out".to_owned(), value: LabelFormatValue::Template(template.to_owned()) };
    let of_line = compile(&Stage::LineFormat(template.to_owned()), &NeededLabels::All);
    let of_label = compile(&Stage::LabelFormat(vec![assignment]), &NeededLabels::All);
    assert_eq!(of_line.is_some(), of_label.is_some());
    let (Some(of_line), Some(of_label)) = (of_line, of_label) else { return };
    let reads_only_labels = of_label.reads_only_labels();
    let as_line = run(&[of_line], &labels, line.as_bytes());
    let as_label = run(std::slice::from_ref(&of_label), &labels, line.as_bytes());
    assert!(as_line.line.len() <= MAX_BYTES);
    assert_eq!(as_line.has_error(), as_label.has_error());
    if !as_line.has_error() {
        let written = as_label.get("out").expect("a template that ran has set its label");
        assert_eq!(String::from_utf8_lossy(&as_line.line), written);
    }
    if reads_only_labels {
        let elsewhere = run(&[of_label], &labels, b"another line");
        assert_eq!(elsewhere.labels, as_label.labels, "the template does not read the line");
    }
}
