//! Tenant identifiers: the isolation unit. A tenant id is a path segment of every object key, so what is valid is decided here, once.

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
