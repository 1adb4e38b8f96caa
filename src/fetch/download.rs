//! One file from one URL into the cache: resumed where it broke off, hashed as it arrives, renamed
//! into place only when size and hash are those expected.

use std::path::PathBuf;

use reqwest::{StatusCode, Url};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use ybox_spec::Digest;
use ybox_spec::digest::Hasher;

use super::{Cache, Client, FetchError};
use crate::ui::download::Bar;
use crate::ui::is_disk_full;

/// A file to have: what people call it, and the bytes it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub name: String,
    pub size: u64,
    pub digest: Digest,
}

/// An unfinished file and the hash of what it holds so far.
struct Part {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size: u64,
}

pub(super) struct Download<'a> {
    pub client: &'a Client,
    pub cache: &'a Cache,
    pub item: &'a Item,
    pub bar: &'a Bar,
}

impl Download<'_> {
    /// Has the file in the cache, from `url` unless another process is quicker. Passing trouble is
    /// met with more tries; a try that got further doesn't count.
    pub async fn run(&self, url: &Url) -> Result<PathBuf, FetchError> {
        let _claim = self.claim().await?;
        if let Some(path) = self.cache.find(&self.item.digest, self.item.size)? {
            return Ok(path);
        }
        let mut attempt = 1;
        loop {
            let before = self.part_size().await;
            let error = match self.attempt(url).await {
                Ok(path) => return Ok(path),
                Err(error) => error,
            };
            // What was resumed may have been another file's beginning: once more from the start.
            let resumed_wrong = error.is_mismatch() && before > 0;
            if !(error.is_transient() || resumed_wrong) {
                return Err(error);
            }
            if error.is_transient() && self.part_size().await > before {
                attempt = 1;
            }
            if attempt == self.client.attempts() {
                return Err(error);
            }
            self.client.pause(attempt).await;
            attempt += 1;
        }
    }

    async fn claim(&self) -> Result<std::fs::File, FetchError> {
        let (cache, digest) = (self.cache.clone(), self.item.digest);
        let bar = self.bar.clone();
        let claimed = tokio::task::spawn_blocking(move || {
            cache.claim(&digest, || bar.note("waiting for another ybox that downloads it"))
        });
        claimed
            .await
            .unwrap_or_else(|e| Err(std::io::Error::other(e)))
            .map_err(|e| self.disk_error(e))
    }

    async fn part_size(&self) -> u64 {
        fs::metadata(self.cache.part(&self.item.digest)).await.map_or(0, |m| m.len())
    }

    async fn attempt(&self, url: &Url) -> Result<PathBuf, FetchError> {
        let mut part = self.open_part().await?;
        if part.size < self.item.size {
            let received = self.receive(url, &mut part).await;
            part.file.flush().await.map_err(|e| self.disk_error(e))?;
            if let Err(error) = received {
                if error.is_mismatch() {
                    self.cache.remove(&part.path)?;
                }
                return Err(error);
            }
        }
        self.finish(part).await
    }

    /// What an earlier try left, hashed; or an empty file.
    async fn open_part(&self) -> Result<Part, FetchError> {
        let path = self.cache.part(&self.item.digest);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).await.map_err(|e| self.disk_error(e))?;
        let (mut hasher, mut size) = (Hasher::new(), 0);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer).await.map_err(|e| self.disk_error(e))? {
                0 => break,
                n => {
                    hasher.update(&buffer[..n]);
                    size += n as u64;
                }
            }
        }
        let mut part = Part { path, file, hasher, size };
        if size > self.item.size {
            self.restart(&mut part).await?;
        }
        self.bar.set(part.size);
        Ok(part)
    }

    async fn restart(&self, part: &mut Part) -> Result<(), FetchError> {
        part.file = File::create(&part.path).await.map_err(|e| self.disk_error(e))?;
        part.hasher = Hasher::new();
        part.size = 0;
        self.bar.set(0);
        Ok(())
    }

    async fn receive(&self, url: &Url, part: &mut Part) -> Result<(), FetchError> {
        let mut reply = match self.client.get(url, part.size, None).await {
            Err(FetchError::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }) => {
                self.restart(part).await?;
                self.client.get(url, 0, None).await?
            }
            reply => reply?,
        };
        if let Some(size) = reply.size.filter(|size| *size != self.item.size) {
            return Err(self.wrong_size(size));
        }
        if reply.start != part.size {
            self.restart(part).await?;
            if reply.start != 0 {
                reply = self.client.get(url, 0, None).await?;
            }
        }
        while let Some(chunk) = reply.chunk().await? {
            self.append(part, &chunk).await?;
        }
        match part.size {
            size if size < self.item.size => Err(FetchError::Truncated {
                file: self.item.name.clone(),
                expected: self.item.size,
                found: size,
            }),
            _ => Ok(()),
        }
    }

    async fn append(&self, part: &mut Part, chunk: &[u8]) -> Result<(), FetchError> {
        part.size += chunk.len() as u64;
        if part.size > self.item.size {
            return Err(self.wrong_size(part.size));
        }
        part.hasher.update(chunk);
        part.file.write_all(chunk).await.map_err(|e| self.disk_error(e))?;
        self.bar.set(part.size);
        Ok(())
    }

    async fn finish(&self, part: Part) -> Result<PathBuf, FetchError> {
        let found = part.hasher.finish();
        if found != self.item.digest {
            self.cache.remove(&part.path)?;
            return Err(FetchError::WrongHash {
                file: self.item.name.clone(),
                expected: self.item.digest,
                found,
            });
        }
        let path = self.cache.path(&self.item.digest);
        part.file.sync_all().await.map_err(|e| self.disk_error(e))?;
        fs::rename(&part.path, &path).await.map_err(|e| self.disk_error(e))?;
        self.cache.forget_claim(&self.item.digest);
        Ok(path)
    }

    fn wrong_size(&self, found: u64) -> FetchError {
        FetchError::WrongSize { file: self.item.name.clone(), expected: self.item.size, found }
    }

    fn disk_error(&self, source: std::io::Error) -> FetchError {
        let path = self.cache.part(&self.item.digest);
        match is_disk_full(Some(&source)) {
            true => {
                let (file, size) = (self.item.name.clone(), self.item.size);
                FetchError::NoRoom { file, size, path, source }
            }
            false => FetchError::Cache { path, source },
        }
    }
}
