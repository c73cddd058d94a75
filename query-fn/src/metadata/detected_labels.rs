//! Labels worth showing to a person, with how many values each has: `detected_labels`.

use std::collections::{BTreeMap, BTreeSet};

use schema::Matcher;

use super::{Scope, insert};
use crate::QueryError;

/// Shown whatever their values look like.
const ALWAYS_SHOWN: [&str; 4] = ["cluster", "namespace", "instance", "pod"];

impl Scope<'_> {
    /// Labels of the streams that pass, with their number of values. Left out: labels whose values are all numbers or all
    /// UUIDs, which name a thing rather than a kind of thing.
    pub(crate) async fn detected_labels(&self, matchers: &[Matcher]) -> Result<Vec<(String, usize)>, QueryError> {
        let labels = self
            .fold(matchers, |labels: &mut BTreeMap<String, BTreeSet<String>>, stream_labels, _| {
                for (name, value) in stream_labels.iter() {
                    match labels.get_mut(name) {
                        Some(values) => insert(values, value),
                        None => {
                            labels.insert(name.to_owned(), BTreeSet::from([value.to_owned()]));
                        }
                    }
                }
            })
            .await?;
        Ok(labels.into_iter().filter(|(name, values)| is_shown(name, values)).map(|(name, values)| (name, values.len())).collect())
    }
}

fn is_shown(name: &str, values: &BTreeSet<String>) -> bool {
    let is_flag = values.iter().all(|value| value == "0" || value == "1");
    ALWAYS_SHOWN.contains(&name) || is_flag || !values.iter().all(|value| is_number(value) || is_uuid(value))
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok()
}

/// `8-4-4-4-12` hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let widths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == widths.len() && parts.iter().zip(widths).all(|(part, width)| part.len() == width && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_hidden() {
        let shown = |name: &str, values: &[&str]| is_shown(name, &values.iter().map(|value| (*value).to_owned()).collect());
        assert!(shown("app", &["x", "1"]));
        assert!(!shown("shard", &["2", "3"]));
        assert!(!shown("ratio", &["0.5"]));
        assert!(!shown("request", &["9f8e7d6c-1234-4abc-8def-0123456789ab"]));
        assert!(shown("pod", &["17"]));
        assert!(shown("canary", &["0", "1"]));
        assert!(!shown("canary", &["0", "1", "2"]));
    }
}
