//! What ybox's HTTP clients have in common, whatever they are for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::CONTENT_RANGE;
use reqwest::{Certificate, ClientBuilder, Response, StatusCode};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence in the middle of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
#[error("cannot read the certificates in {path}")]
pub struct CertificatesError {
    path: PathBuf,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// A client that honours the machine's proxies, and trusts the certificates in a file beside the
/// machine's own.
pub fn builder(certificates: Option<&Path>) -> Result<ClientBuilder, CertificatesError> {
    // Whoever installed a provider first has chosen; an error here says only that.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("ybox/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT);
    Ok(match certificates {
        Some(path) => builder.tls_certs_merge(read(path)?),
        None => builder,
    })
}

fn read(path: &Path) -> Result<Vec<Certificate>, CertificatesError> {
    let failed = |source| CertificatesError { path: path.into(), source };
    let pem = std::fs::read(path).map_err(|e| failed(e.into()))?;
    Certificate::from_pem_bundle(&pem).map_err(|e| failed(e.into()))
}

/// Whether the same request may be answered otherwise a little later.
pub fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

/// Start and whole size from `Content-Range: bytes START-END/SIZE`.
pub fn content_range(response: &Response) -> Option<(u64, Option<u64>)> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (start, rest) = value.strip_prefix("bytes ")?.split_once('-')?;
    let size = rest.split_once('/').and_then(|(_, size)| size.parse().ok());
    Some((start.trim().parse().ok()?, size))
}
