//! `label_replace(v, "dst", "$1", "src", "re")`.

use schema::LabelSet;

use crate::result::Series;
use crate::template::expand;

/// Sets `destination` to the expanded `replacement` where `regex`, anchored by the caller, matches the source label; an empty
/// result removes it. Series that come to have the same labels stay apart, as in Loki.
pub fn label_replace(vector: Vec<Series>, destination: &str, replacement: &str, source: &str, regex: &regex::Regex) -> Vec<Series> {
    vector.into_iter().map(|series| Series { labels: relabel(&series.labels, destination, replacement, source, regex), samples: series.samples }).collect()
}

fn relabel(labels: &LabelSet, destination: &str, replacement: &str, source: &str, regex: &regex::Regex) -> LabelSet {
    match regex.captures(labels.get(source).unwrap_or("")) {
        Some(found) => {
            let mut value = String::new();
            expand(&found, replacement, usize::MAX, &mut value);
            labels.with(destination, &value)
        }
        None => labels.clone(),
    }
}
