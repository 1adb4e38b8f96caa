//! Blobs to a registry: not at all where it has them, by a mount where another of its repositories
//! has them, else in chunks, going on where a broken connection left off.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use oci_spec::image::{Descriptor, MediaType};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Body, Response, StatusCode, Url};
use tokio::sync::mpsc;
use ybox_spec::Digest;

use super::client::{Access, refusal};
use super::{RegistryError, Repository};
use crate::image::oci;
use crate::ui::download::Bar;

/// What is sent at once: no more has to be sent again when a connection breaks.
const CHUNK: u64 = 64 << 20;
const PIECE: usize = 256 * 1024;
/// Pieces between the thread that reads and the connection.
const PIECES: usize = 8;
const OCTETS: &str = "application/octet-stream";

/// What became of a blob that the registry should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    AlreadyThere,
    Mounted,
    Sent,
}

/// Where the bytes come from.
#[derive(Clone)]
enum Source<'a> {
    Bytes(Bytes),
    File(&'a Path),
}

/// A blob on its way to the registry.
struct Upload<'a> {
    repository: &'a Repository,
    digest: Digest,
    size: u64,
    source: Source<'a>,
    bar: &'a Bar,
}

/// How far the registry has got with one.
struct Session {
    location: Url,
    offset: u64,
}

impl Repository {
    /// Sees to it that the registry has these bytes. Returns their descriptor.
    pub async fn push_bytes(
        &self,
        media_type: MediaType,
        bytes: Vec<u8>,
    ) -> Result<Descriptor, RegistryError> {
        let descriptor = oci::describe(media_type, &bytes);
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        if !self.has_blob(&digest).await? {
            let (source, bar) = (Source::Bytes(bytes.into()), &Bar::hidden());
            Upload { repository: self, digest, size, source, bar }.run(None).await?;
        }
        Ok(descriptor)
    }

    /// Sees to it that the registry has the file at `path`, of that digest and size; tries to mount
    /// it from the repositories `elsewhere` of the same registry.
    pub async fn push_file(
        &self,
        (digest, size): (&Digest, u64),
        path: &Path,
        elsewhere: &[String],
        bar: &Bar,
    ) -> Result<Pushed, RegistryError> {
        if self.has_blob(digest).await? {
            return Ok(Pushed::AlreadyThere);
        }
        let source = Source::File(path);
        let upload = Upload { repository: self, digest: *digest, size, source, bar };
        let mut session = None;
        for from in elsewhere {
            match upload.start(Some(from)).await {
                Ok(None) => return Ok(Pushed::Mounted),
                Ok(started) => session = started,
                // Who may not read there may still push here: that is refused, if it is, below.
                Err(error) if error.is_refusal() => {}
                Err(error) => return Err(error),
            }
        }
        upload.run(session).await.map(|()| Pushed::Sent)
    }
}

impl Upload<'_> {
    /// Tries until the registry has it. A try that got further doesn't count.
    async fn run(&self, session: Option<Session>) -> Result<(), RegistryError> {
        let mut retry = self.repository.retry();
        let (mut session, mut furthest) = (session, 0);
        loop {
            let mut current = match session.take() {
                Some(session) => session,
                None => match self.start(None).await? {
                    Some(session) => session,
                    None => return Ok(()),
                },
            };
            let Err(error) = self.attempt(&mut current).await else { return Ok(()) };
            self.blame(&error)?;
            if error.is_transient() {
                // One of which the registry has nothing yet may still get what broke off.
                let broke = matches!(error, RegistryError::Transport { .. });
                session = self.resume(&current).await.filter(|s| s.offset > 0 || !broke);
            }
            let got = session.as_ref().map_or(0, |session| session.offset);
            if got > furthest {
                furthest = got;
                retry.progressed();
            }
            retry.after(error).await?;
        }
    }

    fn doing(&self) -> String {
        format!("send the blob {} to {}", self.digest, self.repository.name())
    }

    /// Begins an upload; nothing if the registry has the blob by now, mounted from `from`.
    async fn start(&self, from: Option<&str>) -> Result<Option<Session>, RegistryError> {
        let mut url = self.repository.url("blobs/uploads/");
        let mut access = Access::Push;
        if let Some(from) = from {
            let digest = self.digest.to_string();
            url.query_pairs_mut().append_pair("mount", &digest).append_pair("from", from);
            access = Access::Mount(from);
        }
        let doing = self.doing();
        let begin = |http: &reqwest::Client| http.post(url.clone()).header(CONTENT_LENGTH, 0);
        let response = self.repository.send(&doing, access, begin).await?;
        match response.status() {
            StatusCode::CREATED if from.is_some() => Ok(None),
            StatusCode::ACCEPTED => {
                Ok(Some(Session { location: self.location(&response)?, offset: 0 }))
            }
            _ => Err(refusal(&doing, response).await),
        }
    }

    /// Sends what is missing: small blobs at once, others in chunks.
    async fn attempt(&self, session: &mut Session) -> Result<(), RegistryError> {
        let small = session.offset == 0 && self.size <= CHUNK;
        while !small && session.offset < self.size {
            self.send_chunk(session).await?;
        }
        self.finish(session, small).await
    }

    async fn send_chunk(&self, session: &mut Session) -> Result<(), RegistryError> {
        let (start, end) = (session.offset, self.size.min(session.offset + CHUNK));
        let url = session.location.clone();
        let range = format!("{start}-{}", end - 1);
        let response = self
            .repository
            .send_once(Access::Push, |http| {
                self.with_body(http.patch(url.clone()), start, end).header(CONTENT_RANGE, &range)
            })
            .await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.refused(response).await);
        }
        session.location = self.location(&response)?;
        let got = received(&response).unwrap_or(end);
        if got <= start || got > end {
            return Err(RegistryError::Lost { doing: self.doing() });
        }
        session.offset = got;
        Ok(())
    }

    async fn finish(&self, session: &Session, with_all: bool) -> Result<(), RegistryError> {
        let mut url = session.location.clone();
        url.query_pairs_mut().append_pair("digest", &self.digest.to_string());
        let end = if with_all { self.size } else { 0 };
        let response = self
            .repository
            .send_once(Access::Push, |http| self.with_body(http.put(url.clone()), 0, end))
            .await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
            _ => Err(self.refused(response).await),
        }
    }

    fn with_body(
        &self,
        request: reqwest::RequestBuilder,
        start: u64,
        end: u64,
    ) -> reqwest::RequestBuilder {
        let request = request.header(CONTENT_TYPE, OCTETS).header(CONTENT_LENGTH, end - start);
        if start == end {
            return request.body(Bytes::new());
        }
        match &self.source {
            Source::Bytes(bytes) => {
                let place = |at: u64| usize::try_from(at).expect("it is in memory");
                request.body(bytes.slice(place(start)..place(end)))
            }
            Source::File(path) => request.body(file_body(path, start, end, self.bar.clone())),
        }
    }

    /// What is said against an upload that has begun. One that the registry no longer knows, or
    /// has less of than it should, can begin anew.
    async fn refused(&self, response: Response) -> RegistryError {
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE => {
                RegistryError::Lost { doing: self.doing() }
            }
            _ => refusal(&self.doing(), response).await,
        }
    }

    /// How far the registry has got, if it still knows of the upload.
    async fn resume(&self, session: &Session) -> Option<Session> {
        let url = session.location.clone();
        let ask = |http: &reqwest::Client| http.get(url.clone());
        let response = self.repository.send(&self.doing(), Access::Push, ask).await.ok()?;
        if response.status() != StatusCode::NO_CONTENT {
            return None;
        }
        let offset = received(&response).filter(|offset| *offset <= self.size)?;
        let location = self.location(&response).unwrap_or_else(|_| session.location.clone());
        Some(Session { location, offset })
    }

    /// Where the registry wants the next request.
    fn location(&self, response: &Response) -> Result<Url, RegistryError> {
        let header = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = header.and_then(|header| response.url().join(header).ok());
        location.ok_or_else(|| {
            RegistryError::malformed(
                format!("the answer of {}", self.repository.name()),
                "it does not say where to send the blob",
            )
        })
    }

    /// A registry that refuses the digest may be right.
    fn blame(&self, error: &RegistryError) -> Result<(), RegistryError> {
        let refused = matches!(error, RegistryError::Status { status, .. } if *status == StatusCode::BAD_REQUEST);
        let Source::File(path) = &self.source else { return Ok(()) };
        if !refused {
            return Ok(());
        }
        let failed = RegistryError::io(format!("read {}", path.display()));
        let (found, _) = Digest::of_file(path).map_err(failed)?;
        match found == self.digest {
            true => Ok(()),
            false => {
                Err(RegistryError::Changed { path: path.to_path_buf(), expected: self.digest })
            }
        }
    }
}

/// Bytes that the registry says it has, from `Range: 0-LAST`.
fn received(response: &Response) -> Option<u64> {
    let range = response.headers().get(RANGE)?.to_str().ok()?;
    let (first, last) = range.trim_start_matches("bytes=").split_once('-')?;
    let last: u64 = last.parse().ok()?;
    // Nothing received is told as `0-0` by some.
    (first == "0").then_some(if last == 0 { 0 } else { last + 1 })
}

/// Bytes `start..end` of a file, read by a thread of its own.
fn file_body(path: &Path, start: u64, end: u64, bar: Bar) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES);
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = read_pieces(&path, start, end, &sender) {
            // Nobody listens any more if this fails.
            let _ = sender.blocking_send(Err(error));
        }
    });
    let stream = futures_util::stream::unfold((receiver, start), move |(mut receiver, sent)| {
        let bar = bar.clone();
        async move {
            let piece: io::Result<Bytes> = receiver.recv().await?;
            let sent = sent + piece.as_ref().map_or(0, |piece| piece.len() as u64);
            bar.set(sent);
            Some((piece, (receiver, sent)))
        }
    });
    Body::wrap_stream(stream)
}

fn read_pieces(
    path: &Path,
    start: u64,
    end: u64,
    to: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut left = end - start;
    while left > 0 {
        let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        file.read_exact(&mut piece)?;
        left -= piece.len() as u64;
        if to.blocking_send(Ok(piece.into())).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
