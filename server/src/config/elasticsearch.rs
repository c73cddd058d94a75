//! The section `[elasticsearch]`: what the fields of documents become.
//! Owns: reading of field lists. Must not know: the defaults, documents.

use std::sync::Arc;

use ingest_fn::elastic::{ElasticSettings, LabelField, parse_field_list, parse_label_fields};
use schema::quote::quote;

use super::Lookup;
use super::raw::{RawElasticsearch, RawLabels};
use crate::error::TarnError;

const FIELDS: &str = "a list of fields such as [\"message\", \"log\"] (in the environment: with commas between)";
const LABEL_FIELDS: &str = "a list of fields, each as 'field' or 'field=label', such as [\"service.name=service_name\"] (in the environment: with commas between); a label is letters, digits and _";

impl Lookup<'_> {
    pub(super) fn elasticsearch(&self, raw: &RawElasticsearch) -> Result<Arc<ElasticSettings>, TarnError> {
        let d = ElasticSettings::default();
        let scalar = |list: &Option<RawLabels>| list.as_ref().map(RawLabels::to_scalar);
        let fields =
            |key: &str, list: &Option<RawLabels>, default: &[String]| self.get(key, None, scalar(list).as_ref(), default.to_vec(), parse_field_list, FIELDS);
        let labels = scalar(&raw.label_fields);
        Ok(Arc::new(ElasticSettings::new(
            self.get("elasticsearch.label_fields", None, labels.as_ref(), d.label_fields().to_vec(), parse_label_fields, LABEL_FIELDS)?,
            fields("elasticsearch.line_fields", &raw.line_fields, d.line_fields())?,
            fields("elasticsearch.time_fields", &raw.time_fields, d.time_fields())?,
        )))
    }
}

/// As YAML values of one line each, under the names of the configuration file.
pub(super) fn show_elasticsearch(settings: &ElasticSettings) -> Vec<(&'static str, String)> {
    let list = |names: Vec<String>| format!("[{}]", names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", "));
    vec![
        ("label_fields", list(settings.label_fields().iter().map(LabelField::to_string).collect())),
        ("line_fields", list(settings.line_fields().to_vec())),
        ("time_fields", list(settings.time_fields().to_vec())),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::resolve;

    #[test]
    fn fields_from_the_file_and_the_environment() {
        let file = "[elasticsearch]\nlabel_fields = [\"service.name=service_name\", \"host.name\"]\nline_fields = \"log, message\"\n";
        let config = resolve(&[], file, &[("TARN_ELASTICSEARCH_TIME_FIELDS", "@timestamp,date")]).unwrap();
        let yaml = config.to_yaml();
        let section = "elasticsearch:\n  label_fields: [\"service.name=service_name\", \"host.name=host_name\"]\n  line_fields: [\"log\", \"message\"]\n  time_fields: [\"@timestamp\", \"date\"]\n";
        assert!(yaml.contains(section), "{yaml}");
        assert_eq!(resolve(&[], "[elasticsearch]\nlabel_fields = []\n", &[]).unwrap().elasticsearch.label_fields(), &[]);
    }

    #[test]
    fn a_wrong_label_is_named() {
        let error = resolve(&[], "", &[("TARN_ELASTICSEARCH_LABEL_FIELDS", "host.name=my host")]).unwrap_err().to_string();
        assert!(error.starts_with("TARN_ELASTICSEARCH_LABEL_FIELDS: 'host.name=my host' is not a list of fields, each as 'field' or 'field=label'"), "{error}");
    }
}
