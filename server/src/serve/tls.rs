//! TLS on the listener: certificate and key out of files that are read anew when they change, so that a renewed certificate needs no restart.
//! Owns: versions, protocols, whom the handshake lets in. Must not know: what is spoken inside.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::config::TlsConfig;
use crate::error::TarnError;
use crate::serve::watched::{self, Watched};

/// How long a client may take for its handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What turns connections into encrypted ones.
pub(crate) struct Tls {
    config: TlsConfig,
    files: Vec<Watched>,
    acceptor: RwLock<TlsAcceptor>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Tls {
    /// Errors: a file that cannot be read, or is not what it should be.
    pub(crate) fn open(config: &TlsConfig) -> Result<Self, TarnError> {
        let (cert, cert_text) = Watched::open(&config.cert_file, TlsConfig::CERT)?;
        let (key, key_text) = Watched::open(&config.key_file, TlsConfig::KEY)?;
        let client_ca = config.client_ca_file.as_ref().map(|path| Watched::open(path, TlsConfig::CLIENT_CA)).transpose()?;
        let (client_ca, client_ca_text) = client_ca.unzip();
        let acceptor = RwLock::new(acceptor(config, &cert_text, &key_text, client_ca_text.as_deref())?);
        Ok(Self { config: config.clone(), files: [cert, key].into_iter().chain(client_ca).collect(), acceptor })
    }

    /// Reads the files anew if one has changed, for the connections from then on. Files that are wrong, or do not fit one another yet, change nothing.
    pub(crate) async fn reload(&self) {
        let mut has_changed = false;
        for file in &self.files {
            match file.changed().await {
                None => {}
                Some(Ok(_)) => has_changed = true,
                Some(Err(error)) => watched::refused(file.path(), &error),
            }
        }
        if !has_changed {
            return;
        }
        match self.read().await {
            Ok(acceptor) => {
                *self.acceptor.write() = acceptor;
                tracing::info!(path = %self.config.cert_file.display(), "certificate read anew");
            }
            Err(error) => watched::refused(&self.config.cert_file, &error),
        }
    }

    async fn read(&self) -> Result<TlsAcceptor, TarnError> {
        let cert = text_of(&self.config.cert_file, TlsConfig::CERT).await?;
        let key = text_of(&self.config.key_file, TlsConfig::KEY).await?;
        let client_ca = match &self.config.client_ca_file {
            Some(path) => Some(text_of(path, TlsConfig::CLIENT_CA).await?),
            None => None,
        };
        acceptor(&self.config, &cert, &key, client_ca.as_deref())
    }

    /// The handshake.
    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let acceptor = self.acceptor.read().clone();
        acceptor.accept(stream).await
    }
}

/// Whether client and server agreed on HTTP/2. A client that names no protocol speaks HTTP/1.1.
pub(crate) fn speaks_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

async fn text_of(path: &Path, setting: &'static str) -> Result<String, TarnError> {
    tokio::fs::read_to_string(path).await.map_err(|source| TarnError::WatchedFile { path: path.to_owned(), setting, source })
}

/// TLS 1.2 and 1.3.
fn acceptor(config: &TlsConfig, cert: &str, key: &str, client_ca: Option<&str>) -> Result<TlsAcceptor, TarnError> {
    let wrong = |path: &Path, setting, problem: String| TarnError::TlsFile { path: path.to_owned(), setting, problem };
    let certificates = |path: &Path, setting, text: &str| {
        let read: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        match read {
            Ok(read) if read.is_empty() => Err(wrong(path, setting, "it has no certificate: PEM with BEGIN CERTIFICATE is expected".to_owned())),
            Ok(read) => Ok(read),
            Err(error) => Err(wrong(path, setting, format!("it is not PEM: {error}"))),
        }
    };
    let chain = certificates(&config.cert_file, TlsConfig::CERT, cert)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| {
        let problem = match error {
            PemError::NoItemsFound => "it has no private key: PEM with BEGIN PRIVATE KEY, without a passphrase, is expected".to_owned(),
            // The other errors could quote the file.
            _ => "it is not PEM".to_owned(),
        };
        wrong(&config.key_file, TlsConfig::KEY, problem)
    })?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&config.cert_file, TlsConfig::CERT, error.to_string()))?;
    let builder = match (&config.client_ca_file, client_ca) {
        (Some(path), Some(text)) => {
            let unusable = |detail: String| wrong(path, TlsConfig::CLIENT_CA, format!("it has no certificate of an authority that can be used: {detail}"));
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path, TlsConfig::CLIENT_CA, text)? {
                roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|error| unusable(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|error| match error {
        tokio_rustls::rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            wrong(&config.key_file, TlsConfig::KEY, format!("it is not the key of the certificate in {}", config.cert_file.display()))
        }
        tokio_rustls::rustls::Error::InvalidCertificate(error) => {
            wrong(&config.cert_file, TlsConfig::CERT, format!("its first certificate cannot be read: {error}"))
        }
        other => wrong(&config.key_file, TlsConfig::KEY, format!("the key cannot be used: {other}")),
    })?;
    server.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}
