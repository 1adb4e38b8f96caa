//! Blobs from a registry: small ones into memory, others into files, gone on with where they broke
//! off. None is seen under its name before its digest was checked.

use std::io;

use reqwest::header::RANGE;
use reqwest::{Response, StatusCode};
use tokio::task::spawn_blocking;
use ybox_spec::Digest;

use super::client::{Access, read_limited, refusal, transport};
use super::landing::{Part, Written};
use super::{Landing, RegistryError, Repository};
use crate::http::content_range;
use crate::ui::download::Bar;
use crate::ui::is_disk_full;

impl Repository {
    /// Whether the registry has the blob in this repository.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let doing = format!("ask for the blob {digest} of {}", self.name());
        let url = self.url(&format!("blobs/{digest}"));
        let response = self.send(&doing, Access::Pull, |http| http.head(url.clone())).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refusal(&doing, response).await),
        }
    }

    /// A small blob, its digest checked.
    pub async fn pull_bytes(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, RegistryError> {
        let what = self.blob(digest);
        let read = async || {
            let (_, response) = self.get(digest, 0).await?;
            read_limited(response, limit, &what, self.host()).await
        };
        let bytes = self.retry().run(read).await?;
        match Digest::of(&bytes) {
            found if found == *digest => Ok(bytes),
            found => Err(RegistryError::WrongDigest { what, expected: *digest, found }),
        }
    }

    /// A blob of `size` bytes into a file, unless it is there. Returns whether anything came from
    /// the registry.
    pub async fn pull_blob(
        &self,
        digest: &Digest,
        size: u64,
        landing: &Landing,
        bar: &Bar,
    ) -> Result<bool, RegistryError> {
        let pull = Pull { repository: self, digest: *digest, size, landing, bar };
        let _claim = pull.claim().await?;
        if pull.is_there().await? {
            return Ok(false);
        }
        pull.run().await.map(|()| true)
    }

    /// The blob from byte `from` on, and where the answer really starts.
    async fn get(&self, digest: &Digest, from: u64) -> Result<(u64, Response), RegistryError> {
        let doing = format!("read {}", self.blob(digest));
        let url = self.url(&format!("blobs/{digest}"));
        let response = self
            .send_once(Access::Pull, |http| match from {
                0 => http.get(url.clone()),
                _ => http.get(url.clone()).header(RANGE, format!("bytes={from}-")),
            })
            .await?;
        match response.status() {
            StatusCode::OK => Ok((0, response)),
            StatusCode::PARTIAL_CONTENT => {
                Ok((content_range(&response).map_or(0, |(start, _)| start), response))
            }
            StatusCode::NOT_FOUND => Err(RegistryError::NotFound(self.blob(digest))),
            _ => Err(refusal(&doing, response).await),
        }
    }

    fn blob(&self, digest: &Digest) -> String {
        format!("blob {digest} of {}", self.name())
    }
}

/// One blob on its way into a file.
struct Pull<'a> {
    repository: &'a Repository,
    digest: Digest,
    size: u64,
    landing: &'a Landing,
    bar: &'a Bar,
}

impl Pull<'_> {
    async fn claim(&self) -> Result<std::fs::File, RegistryError> {
        let (landing, bar) = (self.landing.clone(), self.bar.clone());
        let claim = move || landing.claim(|| bar.note("waiting for another ybox that fetches it"));
        self.blocking(claim).await
    }

    async fn is_there(&self) -> Result<bool, RegistryError> {
        let (landing, digest, size) = (self.landing.clone(), self.digest, self.size);
        self.blocking(move || landing.is_there(&digest, size)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let done = spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)));
        done.map_err(|e| self.disk_error(e))
    }

    /// Tries until it is there. A try that got further doesn't count.
    async fn run(&self) -> Result<(), RegistryError> {
        let mut retry = self.repository.retry();
        loop {
            let before = self.landing.part_size();
            let Err(error) = self.attempt().await else { return Ok(()) };
            if error.is_mismatch() {
                self.landing.discard();
                // What was gone on with may have been another's beginning: once more from the start.
                if before > 0 {
                    continue;
                }
                return Err(error);
            }
            if self.landing.part_size() > before {
                retry.progressed();
            }
            retry.after(error).await?;
        }
    }

    async fn attempt(&self) -> Result<(), RegistryError> {
        let part = self.landing.open(self.size).await.map_err(|e| self.disk_error(e))?;
        self.bar.set(part.start);
        let received = match part.start < self.size {
            true => self.receive(&part).await,
            false => Ok(()),
        };
        let written = part.close().await.map_err(|e| self.disk_error(e))?;
        received?;
        self.check(&written)?;
        self.landing.finish(written).await.map_err(|e| self.disk_error(e))
    }

    async fn receive(&self, part: &Part) -> Result<(), RegistryError> {
        let answer = self.repository.get(&self.digest, part.start).await;
        if let Err(RegistryError::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }) = answer
        {
            return Err(self.wrong_size(part.start));
        }
        let (start, mut response) = answer?;
        let length = response.content_length();
        if let Some(total) = length.map(|length| start + length).filter(|t| *t != self.size) {
            return Err(self.wrong_size(total));
        }
        // A registry that knows no ranges sends again what is there already.
        let mut skip = part.start.checked_sub(start).ok_or_else(|| self.wrong_size(start))?;
        let mut arrived = part.start;
        loop {
            let chunk = response.chunk().await;
            let Some(mut chunk) = chunk.map_err(|e| transport(self.repository.host(), e))? else {
                break;
            };
            let known = skip.min(chunk.len() as u64);
            skip -= known;
            let chunk = chunk.split_off(usize::try_from(known).unwrap_or(usize::MAX));
            arrived += chunk.len() as u64;
            if arrived > self.size {
                return Err(self.wrong_size(arrived));
            }
            if !part.append(chunk).await {
                // The disk's own word comes when the part is closed.
                return Ok(());
            }
            self.bar.set(arrived);
        }
        if arrived < self.size {
            let what = self.repository.blob(&self.digest);
            return Err(RegistryError::Truncated { what, expected: self.size, found: arrived });
        }
        Ok(())
    }

    fn check(&self, written: &Written) -> Result<(), RegistryError> {
        let what = || self.repository.blob(&self.digest);
        if written.size != self.size {
            return Err(self.wrong_size(written.size));
        }
        if written.digest != self.digest {
            let (expected, found) = (self.digest, written.digest);
            return Err(RegistryError::WrongDigest { what: what(), expected, found });
        }
        Ok(())
    }

    fn wrong_size(&self, found: u64) -> RegistryError {
        let what = self.repository.blob(&self.digest);
        RegistryError::WrongSize { what, expected: self.size, found }
    }

    fn disk_error(&self, source: io::Error) -> RegistryError {
        let what = self.repository.blob(&self.digest);
        let path = self.landing.place.clone();
        match is_disk_full(Some(&source)) {
            true => RegistryError::NoRoom { what, path, source },
            false => RegistryError::io(format!("write {}", path.display()))(source),
        }
    }
}
