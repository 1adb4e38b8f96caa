//! The first contact with a registry: TLS, unless somebody said that this one may be spoken to
//! without. That goes for registries of this machine too.

use std::error::Error;
use std::io;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{StatusCode, Url};

use super::auth::Auth;
use super::client::transport;
use super::place::DOCKER_HUB;
use super::retry::Retry;
use super::{Place, RegistryError, Repository};
use crate::http::{builder, is_passing};
use crate::settings::{RegistryFlags, Settings};

/// Where Docker Hub's registry really is.
const DOCKER_HUB_API: &str = "registry-1.docker.io";
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
    let delay = settings.downloads.retry_delay;
    let mut retry = Retry::new(delay);
    let (base, response) = loop {
        match first_contact(&http, host, insecure).await {
            Ok(contact) => break contact,
            // A name may be wrong: nobody wants to wait to hear that.
            Err(error) if is_out_of_reach(&error) => return Err(error),
            Err(error) => retry.after(error).await?,
        }
    };
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => {
            auth.challenged(response.headers(), "", false).await;
        }
        // A registry in trouble is still one: what follows is tried more than once.
        status if is_passing(status) => {}
        status => return Err(RegistryError::NoRegistry { host: host.clone(), status }),
    }
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

fn is_out_of_reach(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Transport { source, .. } if source.is_connect())
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
    builder(settings.downloads.certificates.as_deref())?
        .tls_danger_accept_invalid_certs(insecure)
        .redirect(Policy::custom(move |attempt| redirect(attempt, insecure)))
        .build()
        .map_err(RegistryError::Client)
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
