//! Digests of many files, hashed in parallel. Which files those are is the caller's matter, what is
//! remembered of them `memory`'s.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use ybox_spec::Digest;

use super::memory::{FileDigests, Stamp};
use crate::parallel::in_parallel;

/// Files that a thread takes at once: enough that threads seldom meet, few enough that all end
/// together.
const TAKEN: usize = 64;
/// Bytes read at once.
const BUFFER: usize = 256 << 10;

/// What one file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashed {
    pub sha256: Digest,
    pub size: u64,
    /// Whether its name is a symbolic link.
    pub is_link: bool,
}

struct Found {
    stamp: Stamp,
    sha256: Digest,
    is_link: bool,
    is_new: bool,
}

/// Hashes each of `paths`, which are relative to the root of `known`, in their order. Takes what
/// `known` has, hashes the rest on all cores, and adds it to `known`. `progress` is told how many
/// files are done.
pub fn hash_all(
    known: &mut FileDigests,
    paths: &[&Path],
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<io::Result<Hashed>> {
    let now = SystemTime::now();
    let found = find_all(known, paths, progress).into_iter().zip(paths);
    let hashed = found.map(|(found, path)| {
        let Found { stamp, sha256, is_link, is_new } = found?;
        if is_new {
            known.add(path, stamp, sha256, now);
        }
        Ok(Hashed { sha256, size: stamp.size, is_link })
    });
    hashed.collect()
}

fn find_all(
    known: &FileDigests,
    paths: &[&Path],
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<io::Result<Found>> {
    let done = AtomicUsize::new(0);
    let chunks = in_parallel(paths.chunks(TAKEN).collect(), |chunk: &[&Path]| {
        let mut buffer = Vec::new();
        let found: Vec<_> = chunk.iter().map(|path| find(known, path, &mut buffer)).collect();
        progress(done.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len());
        found
    });
    chunks.into_iter().flatten().collect()
}

fn find(known: &FileDigests, path: &Path, buffer: &mut Vec<u8>) -> io::Result<Found> {
    let place = known.root().join(path);
    match known.knows(path).then(|| remembered(known, path, &place)) {
        Some(Ok(Some(found))) => Ok(found),
        Some(Err(error)) => Err(error),
        _ => hash(&place, buffer),
    }
}

/// Asks the file's name alone.
fn remembered(known: &FileDigests, path: &Path, place: &Path) -> io::Result<Option<Found>> {
    let mut meta = fs::symlink_metadata(place)?;
    let is_link = meta.is_symlink();
    if is_link {
        meta = fs::metadata(place)?;
    }
    let stamp = Stamp::of(&meta);
    let found = |sha256| Found { stamp, sha256, is_link, is_new: false };
    Ok(known.get(path, stamp).map(found))
}

/// `buffer` gets its length with the first file that is hashed.
fn hash(place: &Path, buffer: &mut Vec<u8>) -> io::Result<Found> {
    buffer.resize(BUFFER, 0);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let (file, is_link) = match open(place, flags | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(file) => (File::from(file), false),
        Err(Errno::LOOP) => (File::open(place)?, true),
        Err(error) => return Err(error.into()),
    };
    let stamp = Stamp::of(&file.metadata()?);
    let (sha256, size) = Digest::of_reader_with(&file, buffer)?;
    if size != stamp.size {
        return Err(io::Error::other("it changed while it was read"));
    }
    Ok(Found { stamp, sha256, is_link, is_new: true })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hash_names(known: &mut FileDigests, names: &[&str]) -> Vec<io::Result<Hashed>> {
        let paths: Vec<_> = names.iter().map(Path::new).collect();
        hash_all(known, &paths, &|_| ())
    }

    #[test]
    fn hashes_in_order_and_says_what_it_cannot_read() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..200 {
            fs::write(dir.path().join(format!("{i}")), format!("{i}")).unwrap();
        }
        let mut known = FileDigests::open(dir.path(), dir.path());
        let names: Vec<_> = (0..201).map(|i| i.to_string()).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let done = AtomicUsize::new(0);
        let paths: Vec<_> = names.iter().map(Path::new).collect();
        let found = hash_all(&mut known, &paths, &|count| {
            done.fetch_max(count, Ordering::Relaxed);
        });
        for (i, result) in found[..200].iter().enumerate() {
            let text = i.to_string();
            let (sha256, size) = (Digest::of(text.as_bytes()), text.len() as u64);
            assert_eq!(*result.as_ref().unwrap(), Hashed { sha256, size, is_link: false });
        }
        assert_eq!(found[200].as_ref().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(done.into_inner(), 201);
    }

    #[test]
    fn follows_links_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "x").unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("b")).unwrap();
        let mut known = FileDigests::empty(dir.path());
        let later = SystemTime::now() + Duration::from_secs(10);
        for _ in 0..2 {
            let link = *hash_names(&mut known, &["b"])[0].as_ref().unwrap();
            assert_eq!(link, Hashed { sha256: Digest::of(b"x"), size: 1, is_link: true });
            let stamp = Stamp::of(&fs::metadata(dir.path().join("b")).unwrap());
            known.add(Path::new("b"), stamp, Digest::of(b"x"), later);
        }
    }

    #[test]
    fn takes_the_remembered_digest_of_an_unchanged_file_only() {
        let home = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("a");
        fs::write(&place, "old").unwrap();
        let mut known = FileDigests::open(home.path(), root.path());
        let mark = Digest::of(b"a digest that only memory can give");
        let later = SystemTime::now() + Duration::from_secs(10);
        known.add(Path::new("a"), Stamp::of(&fs::metadata(&place).unwrap()), mark, later);
        known.save(home.path()).unwrap();

        let mut known = FileDigests::open(home.path(), root.path());
        assert_eq!(hash_names(&mut known, &["a"])[0].as_ref().unwrap().sha256, mark);
        // The same size and the same modification time: the kernel's change time still tells.
        let times = fs::metadata(&place).unwrap().modified().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&place, "new").unwrap();
        File::options().write(true).open(&place).unwrap().set_modified(times).unwrap();
        let found = *hash_names(&mut known, &["a"])[0].as_ref().unwrap();
        assert_eq!(found.sha256, Digest::of(b"new"));
        fs::remove_file(&place).unwrap();
        let error = hash_names(&mut known, &["a"]).remove(0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
