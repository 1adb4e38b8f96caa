//! Authorization: Basic, or tokens that the registry's token service gives out for a scope. The
//! credentials are looked for only when the registry asks for some.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::RegistryError;
use super::challenge::Challenge;
use super::client::{read_limited, transport};
use super::credentials::{self, Credentials};
use super::retry::retry_after;

const LARGEST_ANSWER: u64 = 1 << 20;
/// What a token lives where the service doesn't say (the token specification's number).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// A token that ends sooner is not used for one more request.
const SPARE: Duration = Duration::from_secs(10);

/// What one registry has to be shown.
pub struct Auth {
    host: String,
    repository: String,
    files: Vec<PathBuf>,
    /// Whether credentials may go out over plain HTTP.
    insecure: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    /// Once they were looked for.
    credentials: Option<Option<Credentials>>,
    /// By scope.
    tokens: HashMap<String, Token>,
}

struct Token {
    header: HeaderValue,
    ends: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Auth {
    pub fn new(host: &str, repository: &str, files: Vec<PathBuf>, insecure: bool) -> Self {
        let (host, repository) = (host.to_owned(), repository.to_owned());
        Self { host, repository, files, insecure, state: Mutex::default() }
    }

    /// What goes into the `Authorization` header of a request of that scope, if anything.
    pub async fn header(
        &self,
        http: &reqwest::Client,
        scope: &str,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let mut state = self.state.lock().await;
        let Some(challenge) = state.challenge.clone() else { return Ok(None) };
        let (realm, service) = match challenge {
            Challenge::Basic => return self.basic(&mut state).await,
            Challenge::Bearer { realm, service } => (realm, service),
        };
        let fresh = |token: &&Token| token.ends > Instant::now() + SPARE;
        if let Some(token) = state.tokens.get(scope).filter(fresh) {
            return Ok(Some(token.header.clone()));
        }
        let credentials = self.credentials(&mut state).await?;
        let token = self.fetch(http, &realm, service, scope, credentials).await?;
        let header = token.header.clone();
        state.tokens.insert(scope.to_owned(), token);
        Ok(Some(header))
    }

    /// Takes in what an answer of status 401 asks for. Whether the request is worth repeating: not
    /// if it already showed what it could.
    pub async fn challenged(&self, headers: &HeaderMap, scope: &str, sent: bool) -> bool {
        let mut state = self.state.lock().await;
        let offered = headers.get_all(WWW_AUTHENTICATE).iter();
        let mut offered: Vec<_> =
            offered.filter_map(|value| Challenge::parse(value.to_str().ok()?)).collect();
        // A token says less than a password.
        offered.sort_by_key(|challenge| *challenge == Challenge::Basic);
        let Some(challenge) = offered.into_iter().next() else { return false };
        let is_bearer = challenge != Challenge::Basic;
        let is_new = state.challenge.as_ref() != Some(&challenge);
        state.challenge = Some(challenge);
        let had_token = state.tokens.remove(scope).is_some();
        is_new || !sent || (is_bearer && had_token)
    }

    /// Whether there are credentials, as far as is known.
    pub async fn has_credentials(&self) -> bool {
        matches!(self.state.lock().await.credentials, Some(Some(_)))
    }

    async fn credentials(&self, state: &mut State) -> Result<Option<Credentials>, RegistryError> {
        if state.credentials.is_none() {
            let found = credentials::find(&self.host, &self.repository, &self.files).await?;
            state.credentials = Some(found);
        }
        Ok(state.credentials.clone().flatten())
    }

    async fn basic(&self, state: &mut State) -> Result<Option<HeaderValue>, RegistryError> {
        let Some(Credentials::Password { user, password }) = self.credentials(state).await? else {
            return Ok(None);
        };
        use base64::Engine as _;
        let encoded = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
        Ok(secret(&format!("Basic {encoded}")))
    }

    async fn fetch(
        &self,
        http: &reqwest::Client,
        realm: &str,
        service: Option<String>,
        scope: &str,
        credentials: Option<Credentials>,
    ) -> Result<Token, RegistryError> {
        let failed = |why: String| RegistryError::Token { host: self.host.clone(), why };
        let mut url = Url::parse(realm).map_err(|e| failed(format!("`{realm}`: {e}")))?;
        if url.scheme() != "https" && !self.insecure {
            return Err(failed(format!(
                "it asks for credentials to be sent to {url}, unencrypted"
            )));
        }
        let service = service.as_deref().map(|service| ("service", service));
        let request = match &credentials {
            Some(Credentials::Identity(refresh)) => {
                let fields = [
                    ("scope", scope),
                    ("grant_type", "refresh_token"),
                    ("client_id", "ybox"),
                    ("refresh_token", refresh),
                ];
                http.post(url)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(encoded(service.into_iter().chain(fields)))
            }
            credentials => {
                let scopes = scope.split(' ').map(|one| ("scope", one));
                url.query_pairs_mut().extend_pairs(scopes.chain(service));
                match credentials {
                    Some(Credentials::Password { user, password }) => {
                        http.get(url).basic_auth(user, Some(password))
                    }
                    _ => http.get(url),
                }
            }
        };
        let response = request.send().await.map_err(|e| transport(&self.host, e))?;
        self.read_token(response, credentials.is_some()).await
    }

    async fn read_token(
        &self,
        response: reqwest::Response,
        had_credentials: bool,
    ) -> Result<Token, RegistryError> {
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(RegistryError::Unauthorized { host: self.host.clone(), had_credentials });
        }
        if !status.is_success() {
            return Err(RegistryError::Status {
                doing: format!("get a token for {}", self.host),
                status,
                said: String::new(),
                retry_after: retry_after(response.headers()),
            });
        }
        let failed = |why: &str| RegistryError::Token { host: self.host.clone(), why: why.into() };
        let bytes = read_limited(response, LARGEST_ANSWER, "the token", &self.host).await?;
        // The parser's message could quote the token.
        let answer: TokenAnswer =
            serde_json::from_slice(&bytes).map_err(|_| failed("its token service sent no JSON"))?;
        let token = answer.token.or(answer.access_token);
        let token = token.ok_or_else(|| failed("its token service sent no token"))?;
        let life = answer.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
        let header = secret(&format!("Bearer {token}"))
            .ok_or_else(|| failed("its token service sent a token that fits in no header"))?;
        let ends = Instant::now() + life.clamp(DEFAULT_LIFE, Duration::from_secs(24 * 3600));
        Ok(Token { header, ends })
    }
}

/// A header that is kept out of logs.
fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn encoded<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut url = Url::parse("http://form").expect("a constant");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}
