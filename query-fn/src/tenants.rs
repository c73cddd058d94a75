//! The label that tells rows of several tenants apart (Loki's multi-tenant queries).
//! Owns: its name, which tenants matchers choose, how a label set gets it.
//! Must not know: how tenants are named in a request, whether it may read them.
//!
//! Only what is read from several tenants has the label. As in Loki it is added after the pipeline, to what a tenant's own query answers with.

use schema::{LabelSet, Matcher, TenantId, TenantSet};

use crate::QueryError;
use crate::labels::{Category, LabelRef, LabelsView, encode_sorted};

/// The label whose value is the tenant.
pub(crate) const TENANT_LABEL: &str = "__tenant_id__";
/// What a label is called that had that name already.
pub(crate) const ORIGINAL_TENANT_LABEL: &str = "original___tenant_id__";

/// The tenants that `matchers` choose, and the matchers that are left for their streams. Of a single tenant all matchers are left:
/// its streams may have a label of that name.
pub(crate) fn choose(tenants: &TenantSet, matchers: &[Matcher]) -> (Vec<TenantId>, Vec<Matcher>) {
    if let Some(only) = tenants.only() {
        return (vec![only.clone()], matchers.to_vec());
    }
    let (of_tenant, of_stream): (Vec<&Matcher>, Vec<&Matcher>) = matchers.iter().partition(|matcher| matcher.name() == TENANT_LABEL);
    let chosen = tenants.iter().filter(|tenant| of_tenant.iter().all(|matcher| matcher.matches(tenant.as_str())));
    (chosen.cloned().collect(), of_stream.into_iter().cloned().collect())
}

/// The labels of a stream of `tenant` among those of others.
pub(crate) fn labels_of(labels: &LabelSet, tenant: &TenantId) -> Result<LabelSet, QueryError> {
    let renamed = named(labels.iter(), |(name, _)| name, |(_, value), name| (name, value));
    LabelSet::from_pairs(renamed.into_iter().chain([(TENANT_LABEL, tenant.as_str())]))
        .map_err(|duplicate| QueryError::Internal { invariant: format!("labels of a tenant are unique: {duplicate}") })
}

/// Appends the encoding of a row's labels among those of other tenants.
pub(crate) fn encode_labels(labels: &LabelsView<'_>, tenant: &str, out: &mut Vec<u8>) {
    let mut labels = named(labels.iter(), |label| label.name, |label, name| LabelRef { name, ..label });
    labels.push(LabelRef { category: Category::Stream, name: TENANT_LABEL, value: tenant });
    labels.sort_by(|a, b| a.name.cmp(b.name));
    encode_sorted(labels, out);
}

/// `labels` with the one called as ours under its other name, in place of one that has that name.
fn named<'a, T: Copy>(labels: impl Iterator<Item = T>, name: impl Fn(T) -> &'a str, rename: impl Fn(T, &'a str) -> T) -> Vec<T> {
    let mut labels: Vec<T> = labels.collect();
    if labels.iter().any(|label| name(*label) == TENANT_LABEL) {
        labels.retain(|label| name(*label) != ORIGINAL_TENANT_LABEL);
    }
    for label in &mut labels {
        if name(*label) == TENANT_LABEL {
            *label = rename(*label, ORIGINAL_TENANT_LABEL);
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use schema::MatchOp;

    use super::*;

    fn ids(chosen: &[TenantId]) -> Vec<&str> {
        chosen.iter().map(TenantId::as_str).collect()
    }

    #[test]
    fn matchers_choose_among_several_tenants() {
        let matchers = |op, value: &str| vec![Matcher::new("app", MatchOp::Equal, "x").unwrap(), Matcher::new(TENANT_LABEL, op, value).unwrap()];
        let several = TenantSet::parse("a|b|c").unwrap();
        for (op, value, expected) in [
            (MatchOp::Equal, "b", vec!["b"]),
            (MatchOp::NotEqual, "b", vec!["a", "c"]),
            (MatchOp::Regex, "a|c", vec!["a", "c"]),
            (MatchOp::NotRegex, "a|c", vec!["b"]),
            (MatchOp::Equal, "d", vec![]),
            (MatchOp::Equal, "", vec![]),
        ] {
            let (chosen, left) = choose(&several, &matchers(op, value));
            assert_eq!((ids(&chosen), left.len(), left[0].name()), (expected, 1, "app"), "{op:?} {value}");
        }
        let (chosen, left) = choose(&several, &[]);
        assert_eq!((ids(&chosen), left.len()), (vec!["a", "b", "c"], 0));
    }

    #[test]
    fn a_single_tenants_label_of_that_name_is_its_own() {
        let matchers = [Matcher::new(TENANT_LABEL, MatchOp::Equal, "other").unwrap()];
        let (chosen, left) = choose(&TenantSet::parse("a|a").unwrap(), &matchers);
        assert_eq!((ids(&chosen), left.as_slice()), (vec!["a"], &matchers[..]));
    }

    #[test]
    fn a_label_of_that_name_is_renamed() {
        let tenant = TenantId::parse("a").unwrap();
        for (labels, expected) in [
            (r#"{app="x"}"#, r#"{__tenant_id__="a", app="x"}"#),
            (r#"{__tenant_id__="mine", app="x"}"#, r#"{__tenant_id__="a", app="x", original___tenant_id__="mine"}"#),
            (r#"{__tenant_id__="mine", original___tenant_id__="old"}"#, r#"{__tenant_id__="a", original___tenant_id__="mine"}"#),
            (r#"{original___tenant_id__="old"}"#, r#"{__tenant_id__="a", original___tenant_id__="old"}"#),
        ] {
            let labels = LabelSet::parse(labels).unwrap();
            assert_eq!(labels_of(&labels, &tenant).unwrap().to_string(), expected);
            let mut encoded = Vec::new();
            encode_sorted(labels.iter().map(|(name, value)| LabelRef { category: Category::Metadata, name, value }), &mut encoded);
            let mut out = Vec::new();
            encode_labels(&LabelsView::decode(&encoded).unwrap(), "a", &mut out);
            let view = LabelsView::decode(&out).unwrap();
            assert_eq!(LabelSet::from_pairs(view.iter().map(|label| (label.name, label.value))).unwrap().to_string(), expected);
            assert_eq!(view.iter().next().unwrap().category, Category::Stream);
            assert!(view.iter().skip(1).all(|label| label.category == Category::Metadata));
        }
    }
}
