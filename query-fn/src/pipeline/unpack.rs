//! `| unpack`: undoes what an agent's `pack` stage did (spec/logql.md 3.8).

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::json_text::{JsonKind, JsonTextError, each_member, unescape};
use super::names::{clean_text, sanitize};
use super::{NeededLabels, Row, Stage, Verdict, errors, set_parsed};

/// The member that holds the original line.
const PACKED_ENTRY: &[u8] = b"_entry";

/// The stage.
#[derive(Debug)]
pub(crate) struct Unpack {
    needed: NeededLabels,
}

impl Unpack {
    pub(crate) fn new(needed: NeededLabels) -> Self {
        Self { needed }
    }
}

/// The original line and the labels that were packed with it.
type Unpacked = (Option<Vec<u8>>, Vec<(String, String)>);

fn unpack(line: &[u8]) -> Result<Unpacked, JsonTextError> {
    let (mut entry, mut labels) = (None, Vec::new());
    let _: ControlFlow<()> = each_member(line, &mut |key, value| {
        let value = value?;
        if value.kind == JsonKind::String {
            let text = unescape(value.text);
            if *key == *PACKED_ENTRY {
                entry = Some(text.ok_or(JsonTextError::Escape)?.into_owned());
            } else {
                let name = sanitize(&String::from_utf8_lossy(&key)).into_owned();
                labels.push((name, clean_text(&text.unwrap_or_default()).into_owned()));
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((entry, labels))
}

impl Stage for Unpack {
    fn apply(&self, row: &mut Row<'_>) -> Verdict {
        if self.needed.is_empty() || row.line.is_empty() {
            return Verdict::Keep;
        }
        if row.line.first() != Some(&b'{') {
            row.labels.set_error(errors::JSON_PARSER, "expecting json object(6), but it is not");
            return Verdict::Keep;
        }
        match unpack(&row.line) {
            Ok((Some(entry), labels)) => {
                for (name, value) in labels.iter().filter(|(name, _)| !name.is_empty()) {
                    set_parsed(&self.needed, &mut row.labels, name, value);
                }
                row.line = Cow::Owned(entry);
            }
            Ok((None, _)) => {}
            Err(error) => row.labels.set_error(errors::JSON_PARSER, &error.to_string()),
        }
        Verdict::Keep
    }

    fn reads_only_labels(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    fn unpacked(line: &str) -> String {
        run(&Unpack::new(NeededLabels::All), r#"{app="x"}"#, line)
    }

    #[test]
    fn the_entry_becomes_the_line_and_the_rest_labels() {
        assert_eq!(unpacked(r#"{"container":"main","n":1,"app":"y","_entry":"a \"b\""}"#), r#"app=x app_extracted=y container=main | a "b""#);
        assert_eq!(unpacked(r#"{"container":"main"}"#), "app=x");
    }

    #[test]
    fn what_is_not_packed_is_an_error() {
        assert_eq!(unpacked("plain"), "__error__=JSONParserErr __error_details__=expecting json object(6), but it is not app=x");
        assert!(unpacked(r#"{"a":"b"#).starts_with("__error__=JSONParserErr"));
        assert_eq!(unpacked(""), "app=x");
    }
}
