//! Label sets: the encoding, and the changes of a row against a map.

use std::collections::BTreeMap;

use query_fn::labels::{Category, LabelRef, LabelsView, RowLabels};

use super::{Labels, encode, text};

/// Any bytes are a label set or an error; what decodes says the same when it is encoded again. The same bytes are then a list of
/// changes to a row.
pub fn run_labels(data: &[u8]) {
    match LabelsView::decode(data) {
        Ok(view) => {
            let labels: Labels = view.iter().map(|label| (label.category, label.name.to_owned(), label.value.to_owned())).collect();
            let encoded = encode(&labels);
            // Lengths may be written longer than they need to be.
            assert!(encoded.len() <= data.len());
            assert_eq!(LabelsView::decode(&encoded).expect("what was encoded decodes"), view);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    changes(data);
}

/// Each line is a change: an operation, a name of one character, a value.
fn changes(data: &[u8]) {
    let base: Labels = ["a", "b", "c"].map(|name| (Category::Stream, name.to_owned(), "base".to_owned())).into();
    let encoded = encode(&base);
    let view = LabelsView::decode(&encoded).expect("what was encoded decodes");
    let mut row = RowLabels::new(&view);
    let mut model: BTreeMap<String, (Category, String)> = base.into_iter().map(|(category, name, value)| (name, (category, value))).collect();
    let mut parsed: Vec<String> = Vec::new();
    for change in data.split(|&byte| byte == b'\n').filter_map(text) {
        let mut chars = change.chars();
        let (Some(operation), Some(name)) = (chars.next(), chars.next()) else { continue };
        let (name, value) = (name.to_string(), chars.as_str());
        match operation {
            '-' => {
                row.remove(&name);
                model.remove(&name);
            }
            '=' | '+' => {
                let category = if operation == '+' { Category::Parsed } else { Category::Metadata };
                row.set(category, &name, value);
                model.insert(name.clone(), (category, value.to_owned()));
                if category == Category::Parsed {
                    parsed.push(name.clone());
                }
            }
            _ => {}
        }
        assert_eq!(row.get(&name).map(|label| label.value), model.get(&name).map(|(_, value)| value.as_str()));
        assert_eq!(row.was_parsed(&name), parsed.contains(&name));
    }
    let sorted = row.sorted();
    assert!(sorted.iter().copied().eq(model.iter().map(|(name, (category, value))| LabelRef { category: *category, name, value })), "{sorted:?} {model:?}");
}
