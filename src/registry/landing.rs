//! Where a blob arrives: in a file with another name, hashed as it is written, that gets its own
//! name when all of it is there and right. What an interrupted pull left is gone on with.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use ybox_spec::digest::Hasher;
use ybox_spec::{Digest, files};

use crate::image::Store;

/// Chunks on their way from the network to the disk.
const CHUNKS: usize = 32;

/// The final name of a file, and the names beside it that are used on the way.
#[derive(Debug, Clone)]
pub struct Landing {
    pub place: PathBuf,
    part: PathBuf,
    lock: PathBuf,
}

/// An unfinished file, written by a thread of its own.
pub(super) struct Part {
    chunks: mpsc::Sender<Bytes>,
    writer: JoinHandle<io::Result<Written>>,
    /// Bytes that were there when it was opened.
    pub start: u64,
}

/// What a part holds.
pub(super) struct Written {
    file: File,
    pub digest: Digest,
    pub size: u64,
}

impl Landing {
    /// A file that is to be `place`, on its way in `scratch`, which is on the same file system.
    pub fn new(place: PathBuf, scratch: &Path, digest: &Digest) -> Self {
        let beside = |ending: &str| scratch.join(format!("{}.{ending}", digest.hex()));
        Self { place, part: beside("part"), lock: beside("lock") }
    }

    /// A blob of the store.
    pub fn in_store(store: &Store, digest: &Digest) -> Self {
        Self::new(store.blob(digest), store.scratch(), digest)
    }

    /// Whether a file of that content is there already; one that is damaged is removed.
    pub(super) fn is_there(&self, digest: &Digest, size: u64) -> io::Result<bool> {
        match fs::metadata(&self.place) {
            Ok(found) if found.len() == size && Digest::of_file(&self.place)?.0 == *digest => {
                self.forget_claim();
                Ok(true)
            }
            Ok(_) => fs::remove_file(&self.place).map(|()| false),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Waits until no other process fetches the same; `waiting` is called if that takes time. Until
    /// the file is dropped.
    pub(super) fn claim(&self, waiting: impl FnOnce()) -> io::Result<File> {
        files::hold(&self.lock, waiting)
    }

    /// Removes the lock file: whoever still waits on it finds the finished file next.
    fn forget_claim(&self) {
        let _ = fs::remove_file(&self.lock);
    }

    pub(super) fn part_size(&self) -> u64 {
        fs::metadata(&self.part).map_or(0, |m| m.len())
    }

    pub(super) fn discard(&self) {
        let _ = fs::remove_file(&self.part);
    }

    /// Opens what an earlier try left, if it is no longer than `most`.
    pub(super) async fn open(&self, most: u64) -> io::Result<Part> {
        let path = self.part.clone();
        let (file, hasher, start) =
            spawn_blocking(move || open_part(&path, most)).await.map_err(io::Error::other)??;
        let (chunks, receiver) = mpsc::channel(CHUNKS);
        let writer = spawn_blocking(move || write(file, hasher, start, receiver));
        Ok(Part { chunks, writer, start })
    }

    /// Gives the file its name. On disk when this returns.
    pub(super) async fn finish(&self, written: Written) -> io::Result<()> {
        let landing = self.clone();
        let finish = move || {
            written.file.sync_all()?;
            fs::rename(&landing.part, &landing.place)?;
            let folder = landing.place.parent().expect("a file lies in a folder");
            File::open(folder)?.sync_all()?;
            landing.forget_claim();
            Ok(())
        };
        spawn_blocking(finish).await.map_err(io::Error::other)?
    }
}

impl Part {
    /// Queues bytes to be written. What the disk says against it comes with [`Part::close`].
    pub async fn append(&self, chunk: Bytes) -> bool {
        self.chunks.send(chunk).await.is_ok()
    }

    /// Waits for all bytes to be written.
    pub async fn close(self) -> io::Result<Written> {
        drop(self.chunks);
        self.writer.await.map_err(io::Error::other)?
    }
}

fn open_part(path: &Path, most: u64) -> io::Result<(File, Hasher, u64)> {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let (mut hasher, mut size) = (Hasher::new(), 0);
    if file.metadata()?.len() > most {
        file.set_len(0)?;
    }
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((file, hasher, size)),
            n => {
                hasher.update(&buffer[..n]);
                size += n as u64;
            }
        }
    }
}

fn write(
    mut file: File,
    mut hasher: Hasher,
    mut size: u64,
    mut chunks: mpsc::Receiver<Bytes>,
) -> io::Result<Written> {
    while let Some(chunk) = chunks.blocking_recv() {
        file.write_all(&chunk)?;
        hasher.update(&chunk);
        size += chunk.len() as u64;
    }
    Ok(Written { file, digest: hasher.finish(), size })
}
