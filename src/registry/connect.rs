//! The first contact with a registry: TLS, unless somebody said that this one may be spoken to
//! without. That goes for registries of this machine too.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, StatusCode, Url};

use super::auth::Auth;
use super::client::transport;
use super::{Place, RegistryError, Repository};
use crate::settings::{RegistryFlags, Settings};

pub const DOCKER_HUB: &str = "docker.io";
/// Where Docker Hub's registry really is.
const DOCKER_HUB_API: &str = "registry-1.docker.io";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence in the midst of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const MOST_REDIRECTS: usize = 5;

/// Opens the repository of `place`; finds out how its registry wants to be spoken to.
pub async fn connect(
    settings: &Settings,
    place: &Place,
    flags: RegistryFlags,
) -> Result<Repository, RegistryError> {
    let host = &place.host;
    if settings.downloads.offline {
        return Err(RegistryError::Offline { host: host.clone() });
    }
    let insecure = settings.registries.allows_insecure(host, flags);
    let http = client(settings, insecure)?;
    let files = settings.registries.credentials.clone();
    let auth = Auth::new(host, &place.repository, files, insecure);
    let (base, response) = first_contact(&http, host, insecure).await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => {
            auth.challenged(response.headers(), "", false).await;
        }
        // A registry in trouble is still one: what follows is tried more than once.
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {}
        status => return Err(RegistryError::NoRegistry { host: host.clone(), status }),
    }
    let delay = settings.downloads.retry_delay;
    Ok(Repository::new(http, base, auth, place.clone(), delay))
}

/// The address of the registry's API, and its answer to a greeting.
async fn first_contact(
    http: &reqwest::Client,
    host: &str,
    insecure: bool,
) -> Result<(Url, reqwest::Response), RegistryError> {
    let api = if host == DOCKER_HUB { DOCKER_HUB_API } else { host };
    let greet = async |scheme: &str| {
        let base = Url::parse(&format!("{scheme}://{api}/v2/"))
            .map_err(|e| RegistryError::malformed(format!("the registry's name `{host}`"), e))?;
        match http.get(base.clone()).send().await {
            Ok(response) => Ok((base, response)),
            Err(e) if scheme == "https" && is_tls(&e) => {
                Err(RegistryError::Tls { host: host.into(), source: e.without_url() })
            }
            Err(e) => Err(transport(host, e)),
        }
    };
    match greet("https").await {
        Err(_) if insecure => greet("http").await,
        answer => answer,
    }
}

/// Whether somebody answered, but no TLS, or with a certificate that nobody vouches for.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    // Of an I/O error, `source` leaves out the error that it was made of.
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>()
        || inner.is_some_and(|inner| is_tls(inner))
        || error.source().is_some_and(is_tls)
}

fn client(settings: &Settings, insecure: bool) -> Result<reqwest::Client, RegistryError> {
    // Whoever installed a provider first has chosen; an error here says only that.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("ybox/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .tls_danger_accept_invalid_certs(insecure)
        .redirect(Policy::custom(move |attempt| redirect(attempt, insecure)));
    if let Some(path) = &settings.downloads.certificates {
        let failed = |source| RegistryError::Certificates { path: path.clone(), source };
        let pem = std::fs::read(path).map_err(|e| failed(e.into()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| failed(e.into()))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(RegistryError::Client)
}

/// Registries send elsewhere for blobs; never from TLS to plain HTTP.
fn redirect(attempt: Attempt, insecure: bool) -> reqwest::redirect::Action {
    let from_tls = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > MOST_REDIRECTS {
        return attempt.error("too many redirects");
    }
    match attempt.url().scheme() {
        "https" => attempt.follow(),
        "http" if insecure || !from_tls => attempt.follow(),
        _ => attempt.error("it leads from TLS to an unencrypted address"),
    }
}
