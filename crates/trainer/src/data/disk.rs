//! Decoded pictures kept on the disk, for this run and later ones, by the digest of the file that
//! they were decoded from. An entry counts only if its own digest holds: one that is cut off or
//! damaged is made again, and nothing needs to be flushed. The folder is this process's alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ybox_picture::fit;
use ybox_spec::Digest;

use super::Picture;

/// Digest of the rest, digest of the picture's file, then [`NUMBERS`] in little-endian order.
const HEADER: usize = 32 + 32 + 4 * NUMBERS;
/// Longer side of the kept picture, and width and height of the original.
const NUMBERS: usize = 3;

/// A picture of [`DiskCache`].
#[derive(Debug, PartialEq)]
pub struct Kept {
    /// Scaled so that its longer side is what was asked for.
    pub picture: Picture,
    /// Width and height of the original.
    pub original: [u32; 2],
}

#[derive(Debug)]
pub struct DiskCache {
    folder: PathBuf,
    /// Bytes that may still be added.
    left: AtomicU64,
    counts: Counts,
    temporary: AtomicU64,
    /// The first error, after which nothing is added.
    failed: OnceLock<String>,
}

/// What has become of entries so far.
#[derive(Debug, Default)]
struct Counts {
    found: AtomicU64,
    added: AtomicU64,
    bytes: AtomicU64,
    damaged: AtomicU64,
    refused: AtomicU64,
}

/// [`DiskCache::counts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    pub found: u64,
    pub added: u64,
    /// Of the added ones.
    pub bytes: u64,
    /// Entries that did not hold.
    pub damaged: u64,
    /// Pictures that the budget had no place for.
    pub refused: u64,
}

impl DiskCache {
    /// The cache below `parent` of what `program` decodes: another program may decode to other bits,
    /// so what others left is removed. At most `budget` bytes are added.
    pub fn open(parent: &Path, program: Digest, budget: u64) -> io::Result<Self> {
        let folder = parent.join(program.hex());
        for entry in fs::read_dir(parent)? {
            let entry = entry?;
            if entry.path() != folder && entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        fs::create_dir_all(&folder)?;
        let (left, temporary) = (budget.into(), AtomicU64::new(0));
        Ok(Self { folder, left, counts: Counts::default(), temporary, failed: OnceLock::new() })
    }

    /// The picture that the file of digest `file` decodes to, its longer side scaled to `side`.
    pub fn get(&self, file: Digest, side: u32) -> Option<Kept> {
        let bytes = fs::read(self.path(file, side)).ok()?;
        let kept = read(bytes, file, side);
        let count = if kept.is_some() { &self.counts.found } else { &self.counts.damaged };
        count.fetch_add(1, Ordering::Relaxed);
        kept
    }

    /// Keeps `picture`, decoded from the file of digest `file`, if there is place for it.
    pub fn put(&self, file: Digest, side: u32, picture: &Picture, original: [u32; 2]) {
        let size = (HEADER + picture.pixels().len()) as u64;
        let take = |left: u64| left.checked_sub(size);
        let is_place = self.failed.get().is_none()
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if !is_place {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match self.write(&self.path(file, side), &entry(file, side, picture, original)) {
            Ok(()) => {
                self.counts.added.fetch_add(1, Ordering::Relaxed);
                self.counts.bytes.fetch_add(size, Ordering::Relaxed);
            }
            // A run goes on without a cache.
            Err(error) => {
                let _ = self.failed.set(error.to_string());
            }
        }
    }

    pub fn counts(&self) -> Counted {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counted {
            found: of(&self.counts.found),
            added: of(&self.counts.added),
            bytes: of(&self.counts.bytes),
            damaged: of(&self.counts.damaged),
            refused: of(&self.counts.refused),
        }
    }

    /// Why nothing is added any more, if that is so.
    pub fn failure(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    fn path(&self, file: Digest, side: u32) -> PathBuf {
        let name = file.hex();
        self.folder.join(side.to_string()).join(&name[..2]).join(name)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().expect("an entry is in a folder");
        fs::create_dir_all(folder)?;
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{number}.tmp"));
        let renamed = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
        renamed.inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
    }
}

fn entry(file: Digest, side: u32, picture: &Picture, [width, height]: [u32; 2]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + picture.pixels().len());
    bytes.extend([0; 32]);
    bytes.extend(file.as_bytes());
    [side, width, height].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes.extend(picture.pixels());
    let digest = Digest::of(&bytes[32..]);
    bytes[..32].copy_from_slice(digest.as_bytes());
    bytes
}

/// `None` if this is not, to the last byte, what [`entry`] wrote for this file and side.
fn read(mut bytes: Vec<u8>, file: Digest, side: u32) -> Option<Kept> {
    if bytes.len() < HEADER
        || Digest::of(&bytes[32..]).as_bytes() != &bytes[..32]
        || file.as_bytes() != &bytes[32..64]
    {
        return None;
    }
    let number = |i: usize| {
        let at = 64 + 4 * i;
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    };
    let original = [number(1), number(2)];
    if number(0) != side || original.contains(&0) {
        return None;
    }
    let (width, height) = fit(original[0], original[1], side);
    bytes.drain(..HEADER);
    let is_whole = bytes.len() == width as usize * height as usize * 3;
    is_whole.then(|| Kept { picture: Picture::new(width, height, bytes), original })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture::new(4, 2, (0..24).collect())
    }

    const ORIGINAL: [u32; 2] = [16, 8];

    fn cache(parent: &Path, program: &[u8], budget: u64) -> DiskCache {
        DiskCache::open(parent, Digest::of(program), budget).unwrap()
    }

    fn kept() -> Option<Kept> {
        Some(Kept { picture: picture(), original: ORIGINAL })
    }

    #[test]
    fn an_entry_is_for_one_file_one_side_and_one_program() {
        let parent = tempfile::tempdir().unwrap();
        let (file, other) = (Digest::of(b"file"), Digest::of(b"other"));
        let first = cache(parent.path(), b"program", 1000);
        assert_eq!(first.get(file, 4), None);
        first.put(file, 4, &picture(), ORIGINAL);
        for cache in [&first, &cache(parent.path(), b"program", 0)] {
            assert_eq!(cache.get(file, 4), kept());
            assert!(cache.get(file, 8).is_none() && cache.get(other, 4).is_none());
        }
        let newer = cache(parent.path(), b"newer", 1000);
        assert_eq!(newer.get(file, 4), None);
        assert_eq!(first.get(file, 4), None, "what the older program kept is removed");
    }

    #[test]
    fn every_damage_is_noticed_and_mended() {
        let parent = tempfile::tempdir().unwrap();
        let file = Digest::of(b"file");
        let cache = cache(parent.path(), b"program", 1 << 20);
        cache.put(file, 4, &picture(), ORIGINAL);
        let path = cache.path(file, 4);
        let whole = fs::read(&path).unwrap();
        for i in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[i] ^= 1;
            assert_eq!(read(bytes, file, 4), None, "byte {i}");
            assert_eq!(read(whole[..i].to_vec(), file, 4), None, "cut at {i}");
        }
        fs::write(&path, &whole[..40]).unwrap();
        assert_eq!(cache.get(file, 4), None);
        cache.put(file, 4, &picture(), ORIGINAL);
        assert_eq!(cache.get(file, 4), kept());
        let size = 2 * whole.len() as u64;
        let counted = Counted { found: 1, added: 2, bytes: size, damaged: 1, refused: 0 };
        assert_eq!(cache.counts(), counted);
    }

    #[test]
    fn the_budget_is_kept_and_an_error_ends_adding() {
        let parent = tempfile::tempdir().unwrap();
        let small = cache(parent.path(), b"program", 150);
        for name in [b"a", b"b"] {
            small.put(Digest::of(name), 4, &picture(), ORIGINAL);
        }
        assert_eq!((small.counts().added, small.counts().refused), (1, 1));
        let broken = cache(parent.path(), b"program", 1000);
        fs::remove_dir_all(parent.path()).unwrap();
        fs::write(parent.path(), "in the way").unwrap();
        broken.put(Digest::of(b"a"), 4, &picture(), ORIGINAL);
        assert!(broken.failure().is_some());
        broken.put(Digest::of(b"b"), 4, &picture(), ORIGINAL);
        assert_eq!((broken.counts().added, broken.counts().refused), (0, 1));
        fs::remove_file(parent.path()).unwrap();
    }
}
