//! Digests of many files: hashed in parallel, and remembered between runs by what tells a file
//! from a changed one. Which files those are is the caller's matter.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use ybox_spec::{Digest, files};

/// A file changed this recently may change again without its times showing it, so its digest is
/// not remembered. Covers file systems that keep whole seconds (FAT: two).
const SETTLED: Duration = Duration::from_secs(3);

/// What tells that a file is the one that was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    inode: u64,
    mtime: (i64, i64),
    /// Set by the kernel alone: unlike `mtime`, no program can put it back.
    ctime: (i64, i64),
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self {
            size: meta.len(),
            inode: meta.ino(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            ctime: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
        now - self.ctime.0.max(self.mtime.0) > SETTLED.as_secs() as i64
    }
}

/// Remembered digests of the files below one folder.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FileDigests {
    /// Absolute.
    root: PathBuf,
    files: BTreeMap<PathBuf, (Stamp, Digest)>,
}

impl FileDigests {
    /// What `home` remembers of the files below `root`; nothing, if that cannot be read.
    pub fn open(home: &Path, root: &Path) -> Self {
        fs::read(Self::place(home, root))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .filter(|known: &Self| known.root == root)
            .unwrap_or_else(|| Self::empty(root))
    }

    /// No digest of any file below `root`.
    pub fn empty(root: &Path) -> Self {
        Self { root: root.to_owned(), files: BTreeMap::new() }
    }

    /// Remembers them in `home`.
    pub fn save(&self, home: &Path) -> io::Result<()> {
        let place = Self::place(home, &self.root);
        fs::create_dir_all(place.parent().unwrap_or(home))?;
        files::write_atomic(&place, &serde_json::to_vec(self)?)
    }

    fn place(home: &Path, root: &Path) -> PathBuf {
        let name = Digest::of(root.as_os_str().as_encoded_bytes()).hex();
        home.join("manifests").join(&name[..32]).with_extension("json")
    }

    fn get(&self, path: &Path, stamp: Stamp) -> Option<Digest> {
        self.files.get(path).filter(|(known, _)| *known == stamp).map(|(_, digest)| *digest)
    }
}

/// Digest and size of each of `paths`, which are relative to the root of `known`, in their order.
/// Takes what `known` has, hashes the rest on all cores, and adds it to `known`. `progress` is told
/// how many files are done.
pub fn hash_all(
    known: &mut FileDigests,
    paths: &[PathBuf],
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<io::Result<(Digest, u64)>> {
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let results = Mutex::new((0..paths.len()).map(|_| None).collect::<Vec<_>>());
    let work = |known: &FileDigests| {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = paths.get(i) else { return };
            let result = hash_one(known, path);
            results.lock().unwrap_or_else(|e| e.into_inner())[i] = Some(result);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let known = &*known;
        for _ in 0..threads.min(paths.len()) {
            scope.spawn(|| work(known));
        }
    });
    let now = SystemTime::now();
    let results = results.into_inner().unwrap_or_else(|e| e.into_inner());
    results
        .into_iter()
        .zip(paths)
        .map(|(result, path)| {
            let (stamp, digest) = result.expect("the threads take every index")?;
            if stamp.is_settled(now) {
                known.files.insert(path.clone(), (stamp, digest));
            }
            Ok((digest, stamp.size))
        })
        .collect()
}

fn hash_one(known: &FileDigests, path: &Path) -> io::Result<(Stamp, Digest)> {
    let file = File::open(known.root.join(path))?;
    let stamp = Stamp::of(&file.metadata()?);
    if let Some(digest) = known.get(path, stamp) {
        return Ok((stamp, digest));
    }
    let (digest, size) = Digest::of_reader(&file)?;
    if size != stamp.size {
        return Err(io::Error::other("it changed while it was read"));
    }
    Ok((stamp, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(known: &mut FileDigests, names: &[&str]) -> Vec<io::Result<(Digest, u64)>> {
        let paths: Vec<_> = names.iter().map(PathBuf::from).collect();
        hash_all(known, &paths, &|_| ())
    }

    /// Makes every remembered file look long unchanged.
    fn remember(known: &mut FileDigests, name: &str, digest: Digest) {
        let stamp = Stamp::of(&fs::metadata(known.root.join(name)).unwrap());
        known.files.insert(name.into(), (stamp, digest));
    }

    #[test]
    fn hashes_in_order_and_says_what_it_cannot_read() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..20 {
            fs::write(dir.path().join(format!("{i}")), format!("{i}")).unwrap();
        }
        let mut known = FileDigests::open(dir.path(), dir.path());
        let names: Vec<_> = (0..21).map(|i| i.to_string()).collect();
        let found = hash(&mut known, &names.iter().map(String::as_str).collect::<Vec<_>>());
        for (i, result) in found[..20].iter().enumerate() {
            let text = i.to_string();
            let expected = (Digest::of(text.as_bytes()), text.len() as u64);
            assert_eq!(*result.as_ref().unwrap(), expected);
        }
        assert_eq!(found[20].as_ref().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn takes_the_remembered_digest_of_an_unchanged_file_only() {
        let home = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "old").unwrap();
        let mut known = FileDigests::open(home.path(), root.path());
        let mark = Digest::of(b"a digest that only memory can give");
        remember(&mut known, "a", mark);
        known.save(home.path()).unwrap();

        let mut known = FileDigests::open(home.path(), root.path());
        assert_eq!(hash(&mut known, &["a"])[0].as_ref().unwrap().0, mark);
        // The same size and the same modification time: the kernel's change time still tells.
        let times = fs::metadata(root.path().join("a")).unwrap().modified().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        fs::write(root.path().join("a"), "new").unwrap();
        File::options()
            .write(true)
            .open(root.path().join("a"))
            .unwrap()
            .set_modified(times)
            .unwrap();
        assert_eq!(hash(&mut known, &["a"])[0].as_ref().unwrap().0, Digest::of(b"new"));
    }

    #[test]
    fn remembers_no_file_that_was_changed_just_now() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "x").unwrap();
        let mut known = FileDigests::open(root.path(), root.path());
        hash(&mut known, &["a"])[0].as_ref().unwrap();
        assert!(known.files.is_empty());
        let stamp = Stamp::of(&fs::metadata(root.path().join("a")).unwrap());
        assert!(!stamp.is_settled(SystemTime::now()));
        assert!(stamp.is_settled(SystemTime::now() + Duration::from_secs(10)));
    }

    #[test]
    fn a_damaged_memory_is_an_empty_one() {
        let home = tempfile::tempdir().unwrap();
        let place = FileDigests::place(home.path(), Path::new("/data"));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, "{").unwrap();
        assert!(FileDigests::open(home.path(), Path::new("/data")).files.is_empty());
    }
}
