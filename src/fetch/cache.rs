//! The content-addressed cache: `<home>/cache/sha256/<hex>`. A file with that name was checked
//! when it was put there; unfinished downloads end in `.part`. A folder that is carried to another
//! machine holds the same below `sha256`.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use ybox_spec::{Digest, files};

use super::{FetchError, Item};
use crate::ui::is_disk_full;

#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache below `home`; made if need be.
    pub fn open(home: &Path) -> Result<Self, FetchError> {
        Self::in_folder(&home.join("cache"))
    }

    /// The one in a folder to carry along; made if need be.
    pub fn in_folder(folder: &Path) -> Result<Self, FetchError> {
        let root = folder.join("sha256");
        match fs::create_dir_all(&root) {
            Ok(()) => Ok(Self { root }),
            Err(source) => Err(FetchError::Cache { path: root, source }),
        }
    }

    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join(digest.hex())
    }

    pub(super) fn part(&self, digest: &Digest) -> PathBuf {
        self.root.join(format!("{}.part", digest.hex()))
    }

    /// The cached file, trusted if its size is right. One of a wrong size is removed.
    pub fn find(&self, digest: &Digest, size: u64) -> Result<Option<PathBuf>, FetchError> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(found) if found.len() == size => Ok(Some(path)),
            Ok(_) => self.remove(&path).map(|()| None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FetchError::Cache { path, source }),
        }
    }

    /// Like [`Cache::find`], and hashes the file again.
    pub fn find_checked(&self, digest: &Digest, size: u64) -> Result<Option<PathBuf>, FetchError> {
        let Some(path) = self.find(digest, size)? else { return Ok(None) };
        match Digest::of_file(&path) {
            Ok((found, _)) if found == *digest => Ok(Some(path)),
            Ok(_) => self.remove(&path).map(|()| None),
            Err(source) => Err(FetchError::Cache { path, source }),
        }
    }

    /// What was carried here in `folder`, which is only read. It is hashed each time.
    pub(super) fn carried(folder: &Path) -> Self {
        Self { root: folder.join("sha256") }
    }

    /// The file of a carried folder if it is there and what it is called.
    pub(super) fn find_carried(
        &self,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<PathBuf>, FetchError> {
        let path = self.path(digest);
        match Digest::of_file(&path) {
            Ok(found) => Ok((found == (*digest, size)).then_some(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FetchError::Cache { path, source }),
        }
    }

    /// Puts a copy of `from` here, unless it is there; hashed in either case.
    pub(super) fn keep(&self, item: &Item, from: &Path) -> Result<(), FetchError> {
        let (digest, size) = (&item.digest, item.size);
        if self.find_checked(digest, size)?.is_some() {
            return Ok(());
        }
        let path = self.path(digest);
        if let Err(source) = files::copy_atomic(from, &path) {
            return Err(match is_disk_full(Some(&source)) {
                true => FetchError::NoRoom { file: item.name.clone(), size, path, source },
                false => FetchError::Cache { path, source },
            });
        }
        let (found, _) = Digest::of_file(&path)
            .map_err(|source| FetchError::Cache { path: path.clone(), source })?;
        if found == *digest {
            return Ok(());
        }
        self.remove(&path)?;
        Err(FetchError::WrongHash { file: item.name.clone(), expected: *digest, found })
    }

    pub(super) fn remove(&self, path: &Path) -> Result<(), FetchError> {
        files::remove_if_there(path)
            .map_err(|source| FetchError::Cache { path: path.into(), source })
    }

    /// Waits until no other process downloads this file; until what it returns is dropped.
    pub(super) fn claim(&self, digest: &Digest, waiting: impl FnOnce()) -> io::Result<File> {
        files::hold(&self.root.join(format!("{}.lock", digest.hex())), waiting)
    }

    /// All files here, sorted, but those of downloads that a process is at.
    pub fn at_rest(&self) -> Result<Vec<PathBuf>, FetchError> {
        let failed = |source| FetchError::Cache { path: self.root.clone(), source };
        let entries = fs::read_dir(&self.root).map_err(failed)?;
        let paths: io::Result<Vec<_>> = entries.map(|entry| entry.map(|e| e.path())).collect();
        let mut paths = paths.map_err(failed)?;
        let busy: Vec<_> = paths.iter().filter(|path| is_held(path)).cloned().collect();
        paths.retain(|path| !busy.iter().any(|lock| lock.file_stem() == path.file_stem()));
        paths.sort();
        Ok(paths)
    }

    /// Removes the lock file of a finished download. Whoever still waits on it finds the finished
    /// file next.
    pub(super) fn forget_claim(&self, digest: &Digest) {
        let _ = fs::remove_file(self.root.join(format!("{}.lock", digest.hex())));
    }
}

/// Whether a path is that of a lock file that a process holds.
fn is_held(path: &Path) -> bool {
    let try_lock = || File::open(path).map(|file| file.try_lock());
    path.extension().is_some_and(|ending| ending == "lock")
        && matches!(try_lock(), Ok(Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_wrong_size_is_not_trusted_and_not_kept() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        let digest = Digest::of(b"content");
        fs::write(cache.path(&digest), b"conte").unwrap();
        assert_eq!(cache.find(&digest, 7).unwrap(), None);
        assert!(!cache.path(&digest).exists());
    }

    #[test]
    fn only_a_deep_look_finds_changed_content() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        let digest = Digest::of(b"content");
        fs::write(cache.path(&digest), b"CONTENT").unwrap();
        assert!(cache.find(&digest, 7).unwrap().is_some());
        assert_eq!(cache.find_checked(&digest, 7).unwrap(), None);
        assert!(!cache.path(&digest).exists());
    }
}
