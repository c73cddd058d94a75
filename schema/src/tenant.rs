//! Tenant identifiers: the isolation unit. A tenant id is a path segment of every object key, so what is valid is decided here, once.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// The tenant that requests without `X-Scope-OrgID` belong to when authentication is off (Loki's `no_auth_tenant`).
pub const DEFAULT_TENANT: &str = "fake";

/// Longest accepted tenant id in bytes, as in Loki (dskit `tenant` package).
pub const MAX_TENANT_ID_BYTES: usize = 150;

/// A valid tenant id: 1 to 150 bytes out of `A-Z a-z 0-9 ! - _ . * ' ( )`, and neither `.` nor `..`.
/// No valid id holds a slash, so no id can name another tenant's keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

/// Why a tenant id was refused. The texts are Loki's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantIdError {
    /// Empty header value.
    #[error("no org id")]
    Missing,
    /// Longer than [`MAX_TENANT_ID_BYTES`].
    #[error("tenant ID is too long: max {MAX_TENANT_ID_BYTES} characters")]
    TooLong,
    /// `.` or `..`, which a path would resolve.
    #[error("tenant ID is '.' or '..'")]
    Unsafe,
    /// A byte outside the accepted set.
    #[error("tenant ID '{id}' contains unsupported character '{character}'")]
    UnsupportedCharacter {
        /// The id as sent.
        id: String,
        /// The first character that is not accepted.
        character: char,
    },
}

impl TenantId {
    /// Checks `id` and wraps it.
    pub fn parse(id: &str) -> Result<Self, TenantIdError> {
        if id.is_empty() {
            return Err(TenantIdError::Missing);
        }
        if let Some(character) = id.chars().find(|c| !is_tenant_char(*c)) {
            return Err(TenantIdError::UnsupportedCharacter { id: id.to_owned(), character });
        }
        if id.len() > MAX_TENANT_ID_BYTES {
            return Err(TenantIdError::TooLong);
        }
        if id == "." || id == ".." {
            return Err(TenantIdError::Unsafe);
        }
        Ok(Self(Arc::from(id)))
    }

    /// The tenant of requests without a tenant header while authentication is off.
    pub fn default_tenant() -> Self {
        Self(Arc::from(DEFAULT_TENANT))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Most tenants that one request can read.
pub const MAX_TENANTS: usize = 100;

/// The tenants that a request reads: at least one, in order of their ids, each once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TenantSet(Arc<[TenantId]>);

/// Why a list of tenants was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantSetError {
    /// One of the ids, or the list is empty.
    #[error(transparent)]
    Id(#[from] TenantIdError),
    /// More than [`MAX_TENANTS`].
    #[error("too many tenant IDs: {count}, at most {MAX_TENANTS} can be read at once")]
    TooMany {
        /// How many different ones.
        count: usize,
    },
}

impl TenantSet {
    /// Reads ids with `|` between them, as Loki's `X-Scope-OrgID` names several tenants; an id that comes twice counts once.
    pub fn parse(text: &str) -> Result<Self, TenantSetError> {
        let ids = text.split('|').map(TenantId::parse).collect::<Result<BTreeSet<_>, _>>()?;
        if ids.len() > MAX_TENANTS {
            return Err(TenantSetError::TooMany { count: ids.len() });
        }
        Ok(Self(ids.into_iter().collect()))
    }

    /// The tenant, where there is only one.
    pub fn only(&self) -> Option<&TenantId> {
        match &*self.0 {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The tenants in order of their ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &TenantId> {
        self.0.iter()
    }

    /// How many, at least 1.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl From<TenantId> for TenantSet {
    fn from(tenant: TenantId) -> Self {
        Self(Arc::from([tenant]))
    }
}

impl fmt::Display for TenantSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, tenant) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("|")?;
            }
            fmt::Display::fmt(tenant, f)?;
        }
        Ok(())
    }
}

fn is_tenant_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '!' | '-' | '_' | '.' | '*' | '\'' | '(' | ')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_loki_accepts() {
        for id in ["a", "team-1", "a.b", "A_b!*'()", "..."] {
            assert_eq!(TenantId::parse(id).unwrap().as_str(), id);
        }
        assert!(TenantId::parse(&"x".repeat(150)).is_ok());
    }

    #[test]
    fn several_are_sorted_and_each_counts_once() {
        let set = |text: &str| TenantSet::parse(text).map(|set| (set.to_string(), set.count())).map_err(|error| error.to_string());
        assert_eq!(set("b|a|b"), Ok(("a|b".to_owned(), 2)));
        assert_eq!(set("a|a"), Ok(("a".to_owned(), 1)));
        for text in ["", "a|", "|a", "a||b"] {
            assert_eq!(set(text), Err("no org id".to_owned()), "{text}");
        }
        assert_eq!(set("a|.."), Err("tenant ID is '.' or '..'".to_owned()));
        let many = |count: usize| (0..count).map(|i| format!("t{i}")).collect::<Vec<_>>().join("|");
        assert_eq!(set(&many(100)).unwrap().1, 100);
        assert_eq!(set(&many(101)), Err("too many tenant IDs: 101, at most 100 can be read at once".to_owned()));
        assert_eq!(TenantSet::parse("a|a").unwrap().only(), Some(&TenantId::parse("a").unwrap()));
        assert_eq!(TenantSet::parse("a|b").unwrap().only(), None);
    }

    #[test]
    fn refuses_what_could_leave_the_tenants_folder() {
        assert_eq!(TenantId::parse(""), Err(TenantIdError::Missing));
        assert_eq!(TenantId::parse("."), Err(TenantIdError::Unsafe));
        assert_eq!(TenantId::parse(".."), Err(TenantIdError::Unsafe));
        assert_eq!(TenantId::parse(&"x".repeat(151)), Err(TenantIdError::TooLong));
        for id in ["../b", "b%2f", "a/b", "a b", "ü", "a|b", "a\0"] {
            assert!(matches!(TenantId::parse(id), Err(TenantIdError::UnsupportedCharacter { .. })), "{id:?}");
        }
    }
}
