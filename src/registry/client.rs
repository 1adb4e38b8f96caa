//! Requests to one repository: authorized as the registry asks, tried again on passing trouble, and
//! refusals told in the registry's own words.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::auth::Auth;
use super::retry::{Retry, retry_after};
use super::{Place, RegistryError};
use crate::http::is_passing;

const LARGEST_REFUSAL: u64 = 64 * 1024;
/// Of a registry's words, so much is shown.
const LONGEST_WORDS: usize = 200;

/// A repository of a registry. Clones share the connection and what was authorized.
#[derive(Clone)]
pub struct Repository {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    /// `https://HOST/v2/`
    base: Url,
    auth: Auth,
    place: Place,
    delay: Duration,
}

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access<'a> {
    Pull,
    Push,
    /// Push, and read another repository.
    Mount(&'a str),
}

impl Repository {
    pub(super) fn new(
        http: reqwest::Client,
        base: Url,
        auth: Auth,
        place: Place,
        delay: Duration,
    ) -> Self {
        Self { inner: Arc::new(Inner { http, base, auth, place, delay }) }
    }

    /// `HOST/REPOSITORY`.
    pub fn name(&self) -> String {
        self.inner.place.name()
    }

    pub(super) fn place(&self) -> &Place {
        &self.inner.place
    }

    pub(super) fn host(&self) -> &str {
        &self.inner.place.host
    }

    pub(super) fn retry(&self) -> Retry {
        Retry::new(self.inner.delay)
    }

    /// `/v2/REPOSITORY/PATH`.
    pub(super) fn url(&self, path: &str) -> Url {
        let repository = &self.inner.place.repository;
        let url = self.inner.base.join(&format!("{repository}/{path}"));
        url.expect("names of repositories, tags and digests have no letters that break a URL")
    }

    /// Sends what `request` makes, until an answer comes that more tries would not change.
    pub(super) async fn send(
        &self,
        doing: &str,
        access: Access<'_>,
        request: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let mut retry = self.retry();
        loop {
            let error = match self.send_once(access, &request).await {
                Ok(response) if is_passing(response.status()) => refusal(doing, response).await,
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            retry.after(error).await?;
        }
    }

    /// Sends what `request` makes once; twice if the registry first asks for authorization.
    pub(super) async fn send_once(
        &self,
        access: Access<'_>,
        request: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let Inner { http, auth, .. } = &*self.inner;
        let scope = self.scope(access);
        for _ in 0..2 {
            let header = auth.header(http, &scope).await?;
            let response = self.execute(request(http), header.clone()).await?;
            if response.status() != StatusCode::UNAUTHORIZED
                || !auth.challenged(response.headers(), &scope, header.is_some()).await
            {
                return self.authorized(response).await;
            }
        }
        let header = auth.header(http, &scope).await?;
        let response = self.execute(request(http), header).await?;
        self.authorized(response).await
    }

    /// What is authorized goes to the registry alone, wherever an upload may be sent.
    async fn execute(
        &self,
        request: RequestBuilder,
        authorization: Option<reqwest::header::HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let failed = |e| transport(self.host(), e);
        let mut request = request.build().map_err(failed)?;
        if let Some(header) = authorization.filter(|_| self.is_own(request.url())) {
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        self.inner.http.execute(request).await.map_err(failed)
    }

    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.inner.base.origin()
    }

    async fn authorized(&self, response: Response) -> Result<Response, RegistryError> {
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let had_credentials = self.inner.auth.has_credentials().await;
        Err(RegistryError::Unauthorized { host: self.host().to_owned(), had_credentials })
    }

    fn scope(&self, access: Access) -> String {
        let own = &self.inner.place.repository;
        match access {
            Access::Pull => format!("repository:{own}:pull"),
            Access::Push => format!("repository:{own}:pull,push"),
            Access::Mount(from) => {
                format!("repository:{own}:pull,push repository:{from}:pull")
            }
        }
    }
}

/// An answer that says no, as an error.
pub(super) async fn refusal(doing: &str, response: Response) -> RegistryError {
    let (status, wait) = (response.status(), retry_after(response.headers()));
    let body = read_limited(response, LARGEST_REFUSAL, "the answer", "").await.unwrap_or_default();
    let said = words(&body);
    let doing = doing.to_owned();
    match status {
        StatusCode::FORBIDDEN => RegistryError::Denied { doing, said },
        _ => RegistryError::Status { doing, status, said, retry_after: wait },
    }
}

/// What the registry says in its error document, on one line.
fn words(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(document) = serde_json::from_slice::<Errors>(body) else { return String::new() };
    let one = |error: &Error| match error.message.is_empty() {
        true => error.code.clone(),
        false => error.message.clone(),
    };
    let text = document.errors.iter().map(one).collect::<Vec<_>>().join("; ");
    text.chars().filter(|letter| !letter.is_control()).take(LONGEST_WORDS).collect()
}

pub(super) fn transport(host: &str, source: reqwest::Error) -> RegistryError {
    RegistryError::Transport { host: host.to_owned(), source: source.without_url() }
}

/// The whole body, if it is no larger than `limit`.
pub(super) async fn read_limited(
    mut response: Response,
    limit: u64,
    what: &str,
    host: &str,
) -> Result<Vec<u8>, RegistryError> {
    let too_large = || RegistryError::TooLarge { what: what.to_owned(), limit };
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut content = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| transport(host, e))? {
        if (content.len() + chunk.len()) as u64 > limit {
            return Err(too_large());
        }
        content.extend_from_slice(&chunk);
    }
    Ok(content)
}
