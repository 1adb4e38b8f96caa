//! One way to read a URL, over HTTP or from this machine's disk. Retries, caching and checks are
//! the callers'.

use std::io::SeekFrom;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, RANGE};
use reqwest::{StatusCode, Url};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::FetchError;
use crate::http;
use crate::settings::Downloads;

const ATTEMPTS: u32 = 5;

/// An HTTP client that honours the proxy and certificate settings of the machine.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    retry_delay: Duration,
}

/// An answer whose body has not been read yet.
pub(super) struct Reply {
    /// Where it came from, after redirects.
    pub url: Url,
    /// Offset of the body's first byte in the file.
    pub start: u64,
    /// Size of the whole file, where the server says so.
    pub size: Option<u64>,
    pub content_type: Option<String>,
    body: Body,
}

enum Body {
    Http(reqwest::Response),
    File(tokio::fs::File),
}

impl Client {
    pub fn new(settings: &Downloads) -> Result<Self, FetchError> {
        let builder = http::builder(settings.certificates.as_deref())?;
        let http = builder.build().map_err(FetchError::Client)?;
        Ok(Self { http, retry_delay: settings.retry_delay })
    }

    /// Asks for the bytes of `url` from offset `from` on. The server may start at 0 all the same.
    pub(super) async fn get(
        &self,
        url: &Url,
        from: u64,
        accept: Option<&str>,
    ) -> Result<Reply, FetchError> {
        if url.scheme() == "file" {
            return open(url, from).await;
        }
        let mut request = self.http.get(url.clone());
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        let response = request.send().await.map_err(|e| http_error(url, e))?;
        reply(url, response)
    }

    /// Size of the file at `url`, if the server tells it.
    pub(super) async fn size(&self, url: &Url) -> Result<Option<u64>, FetchError> {
        if url.scheme() == "file" {
            return Ok(open(url, 0).await?.size);
        }
        let response = self.http.head(url.clone()).send().await.map_err(|e| http_error(url, e))?;
        check_status(url, &response)?;
        Ok(response.headers().get("content-length").and_then(|v| v.to_str().ok()?.parse().ok()))
    }

    /// The whole of a small file, and where it came from; tries again on passing trouble.
    pub(super) async fn read(
        &self,
        url: &Url,
        accept: Option<&str>,
        limit: u64,
    ) -> Result<(Vec<u8>, Reply), FetchError> {
        let mut attempt = 1;
        loop {
            match self.read_once(url, accept, limit).await {
                Err(e) if e.is_transient() && attempt < ATTEMPTS => self.pause(attempt).await,
                result => return result,
            }
            attempt += 1;
        }
    }

    async fn read_once(
        &self,
        url: &Url,
        accept: Option<&str>,
        limit: u64,
    ) -> Result<(Vec<u8>, Reply), FetchError> {
        let mut reply = self.get(url, 0, accept).await?;
        let mut content = Vec::new();
        while let Some(chunk) = reply.chunk().await? {
            content.extend_from_slice(&chunk);
            if content.len() as u64 > limit {
                return Err(FetchError::TooLarge { url: Box::new(url.clone()), limit });
            }
        }
        Ok((content, reply))
    }

    /// Waits before try number `attempt + 1`.
    pub(super) async fn pause(&self, attempt: u32) {
        tokio::time::sleep(self.retry_delay * 2u32.saturating_pow(attempt - 1)).await;
    }

    pub(super) const fn attempts(&self) -> u32 {
        ATTEMPTS
    }
}

impl Reply {
    /// The next bytes; `None` at the end. A body that ends early is an error or simply ends.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        match &mut self.body {
            Body::Http(response) => response.chunk().await.map_err(|e| http_error(&self.url, e)),
            Body::File(file) => {
                let mut buffer = vec![0; 256 * 1024];
                let read = file.read(&mut buffer).await.map_err(|e| file_error(&self.url, e))?;
                buffer.truncate(read);
                Ok((read > 0).then(|| buffer.into()))
            }
        }
    }
}

fn reply(url: &Url, response: reqwest::Response) -> Result<Reply, FetchError> {
    check_status(url, &response)?;
    let length = response.content_length();
    let (start, size) = match response.status() {
        StatusCode::PARTIAL_CONTENT => http::content_range(&response).unwrap_or((0, None)),
        _ => (0, length),
    };
    let header = |name| response.headers().get(name)?.to_str().ok().map(str::to_owned);
    Ok(Reply {
        url: response.url().clone(),
        start,
        size,
        content_type: header(CONTENT_TYPE),
        body: Body::Http(response),
    })
}

fn check_status(url: &Url, response: &reqwest::Response) -> Result<(), FetchError> {
    let url = Box::new(url.clone());
    match response.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(()),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(FetchError::Missing { url }),
        status => Err(FetchError::Status { url, status }),
    }
}

/// Opens a `file:` URL; a folder stands for its `index.html`, as on a web server.
async fn open(url: &Url, from: u64) -> Result<Reply, FetchError> {
    let missing = || FetchError::Missing { url: Box::new(url.clone()) };
    let mut path = url.to_file_path().map_err(|()| missing())?;
    if url.path().ends_with('/') {
        path.push("index.html");
    }
    let mut file = tokio::fs::File::open(&path).await.map_err(|e| file_error(url, e))?;
    let size = file.metadata().await.map_err(|e| file_error(url, e))?.len();
    file.seek(SeekFrom::Start(from)).await.map_err(|e| file_error(url, e))?;
    Ok(Reply {
        url: url.clone(),
        start: from,
        size: Some(size),
        content_type: None,
        body: Body::File(file),
    })
}

fn file_error(url: &Url, source: std::io::Error) -> FetchError {
    match source.kind() {
        std::io::ErrorKind::NotFound => FetchError::Missing { url: Box::new(url.clone()) },
        _ => FetchError::Cache { path: url.path().into(), source },
    }
}

fn http_error(url: &Url, source: reqwest::Error) -> FetchError {
    FetchError::Http { url: Box::new(url.clone()), source: source.without_url() }
}

/// A URL for people: without the password that it may carry.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        let _ = url.set_password(Some("****"));
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let url = Url::parse("https://ann:secret@index.test/simple/").unwrap();
        assert_eq!(shown(&url), "https://ann:****@index.test/simple/");
    }
}
