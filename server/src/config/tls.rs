//! The section `[tls]`: which files make the listener speak TLS.
//! Must not know: what is in them.

use std::path::PathBuf;

use schema::quote::quote;

use super::raw::{RawTls, Scalar};
use super::{Lookup, PATH, parse_path};
use crate::error::TarnError;

/// Files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsConfig {
    /// The server's certificate, followed by those between it and a root.
    pub(crate) cert_file: PathBuf,
    /// Its private key.
    pub(crate) key_file: PathBuf,
    /// Clients need a certificate that one of these has signed.
    pub(crate) client_ca_file: Option<PathBuf>,
}

impl TlsConfig {
    pub(crate) const CERT: &'static str = "tls.cert_file";
    pub(crate) const KEY: &'static str = "tls.key_file";
    pub(crate) const CLIENT_CA: &'static str = "tls.client_ca_file";
}

impl Lookup<'_> {
    pub(super) fn tls(&self, raw: &RawTls) -> Result<Option<TlsConfig>, TarnError> {
        let path = |key: &str, raw: &Option<Scalar>| self.get(key, None, raw.as_ref(), None, parse_path, PATH);
        let cert = path(TlsConfig::CERT, &raw.cert_file)?;
        let key = path(TlsConfig::KEY, &raw.key_file)?;
        let client_ca_file = path(TlsConfig::CLIENT_CA, &raw.client_ca_file)?;
        let half = |present, missing| Err(TarnError::TlsHalf { present, missing });
        match (cert, key) {
            (Some(cert_file), Some(key_file)) => Ok(Some(TlsConfig { cert_file, key_file, client_ca_file })),
            (Some(_), None) => half(TlsConfig::CERT, TlsConfig::KEY),
            (None, Some(_)) => half(TlsConfig::KEY, TlsConfig::CERT),
            (None, None) if client_ca_file.is_some() => half(TlsConfig::CLIENT_CA, TlsConfig::CERT),
            (None, None) => Ok(None),
        }
    }
}

/// As YAML values of one line each, under the names of the configuration file.
pub(super) fn show_tls(config: Option<&TlsConfig>) -> Vec<(&'static str, String)> {
    let path = |path: Option<&PathBuf>| quote(&path.map_or_else(String::new, |path| path.display().to_string()));
    vec![
        ("cert_file", path(config.map(|config| &config.cert_file))),
        ("key_file", path(config.map(|config| &config.key_file))),
        ("client_ca_file", path(config.and_then(|config| config.client_ca_file.as_ref()))),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::resolve;

    #[test]
    fn both_files_or_none() {
        assert_eq!(resolve(&[], "", &[]).unwrap().tls, None);
        let file = "[tls]\ncert_file = \"/etc/tarn/tls.crt\"\nkey_file = \"/etc/tarn/tls.key\"\n";
        let config = resolve(&[], file, &[("TARN_TLS_KEY_FILE", "/run/tls.key")]).unwrap();
        let yaml = config.to_yaml();
        assert!(yaml.contains("tls:\n  cert_file: \"/etc/tarn/tls.crt\"\n  key_file: \"/run/tls.key\"\n  client_ca_file: \"\"\n"), "{yaml}");
        for (variable, told) in [
            ("TARN_TLS_CERT_FILE", "tls.cert_file is set and tls.key_file is not: TLS needs both; set neither to speak plain HTTP"),
            ("TARN_TLS_KEY_FILE", "tls.key_file is set and tls.cert_file is not: TLS needs both; set neither to speak plain HTTP"),
            ("TARN_TLS_CLIENT_CA_FILE", "tls.client_ca_file is set and tls.cert_file is not: TLS needs both; set neither to speak plain HTTP"),
        ] {
            assert_eq!(resolve(&[], "", &[(variable, "/x")]).unwrap_err().to_string(), told);
        }
    }
}
