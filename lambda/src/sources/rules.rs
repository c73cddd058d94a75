//! Where the rules of the sources come from.
//! Must not know: what rules say.

use ingest_fn::aws::Rules;
use server::TarnError;
use store::ForeignBuckets;

const VARIABLE: &str = "TARN_LAMBDA_RULES";
/// More is no file of rules.
const MAX_BYTES: usize = 1 << 20;

/// The rules that `TARN_LAMBDA_RULES` names: TOML, an object `s3://bucket/key`, or a file. None without it.
pub(super) async fn load(setting: Option<&str>, buckets: &ForeignBuckets) -> Result<Rules, TarnError> {
    let Some(setting) = setting else { return Ok(Rules::default()) };
    let text = match place(setting) {
        Place::Inline => setting.to_owned(),
        Place::File => std::fs::read_to_string(setting).map_err(|source| TarnError::Io { what: format!("read the rules '{setting}' ({VARIABLE})"), source })?,
        Place::Object { bucket, key } => fetch(setting, bucket, key, buckets).await?,
    };
    Rules::parse(&text).map_err(|error| TarnError::Rules { variable: VARIABLE, detail: error.to_string() })
}

#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Inline,
    File,
    Object { bucket: &'a str, key: &'a str },
}

fn place(setting: &str) -> Place<'_> {
    if let Some((bucket, key)) = setting.strip_prefix("s3://").and_then(|rest| rest.split_once('/')) {
        return Place::Object { bucket, key };
    }
    // No path that anybody would choose, and no TOML without one of them.
    if setting.contains(['=', '[', '\n']) { Place::Inline } else { Place::File }
}

async fn fetch(setting: &str, bucket: &str, key: &str, buckets: &ForeignBuckets) -> Result<String, TarnError> {
    let failed = |detail: String| TarnError::Rules { variable: VARIABLE, detail: format!("{setting} cannot be read: {detail}") };
    let mut object = buckets.get(bucket, None, key, None).await.map_err(|error| failed(error.chain()))?;
    let mut bytes = Vec::new();
    while let Some(part) = object.next().await {
        bytes.extend_from_slice(&part.map_err(|error| failed(error.chain()))?);
        if bytes.len() > MAX_BYTES {
            return Err(failed(format!("it has more than {MAX_BYTES} bytes")));
        }
    }
    String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_toml_an_object_or_a_file() {
        assert_eq!(place("s3://conf/tarn/rules.toml"), Place::Object { bucket: "conf", key: "tarn/rules.toml" });
        assert_eq!(place("[[rule]]\nlog_group = \"/aws/*\""), Place::Inline);
        assert_eq!(place("/var/task/rules.toml"), Place::File);
    }
}
