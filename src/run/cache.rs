//! `cache=disk`: a folder of ybox's own for decoded pictures. One run uses it at a time; others at
//! the same time get folders beside it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, statvfs};

use super::RunError;

/// Of the free space, the part that pictures may take.
const PART: u64 = 2;

/// A folder that this process alone uses, for as long as the value lives.
#[derive(Debug)]
pub struct CachePlace {
    pub folder: PathBuf,
    /// Bytes that may be added to it.
    pub budget: u64,
    /// Holds the lock; the kernel drops it however the process ends.
    _lock: File,
}

impl CachePlace {
    /// The first folder below `home` that no other run uses.
    pub fn open(home: &Path) -> Result<Self, RunError> {
        let parent = home.join("pictures");
        let failed = |source| RunError::Write { path: parent.clone(), source };
        for number in 1_u32.. {
            let folder = parent.join(number.to_string());
            fs::create_dir_all(&folder).map_err(failed)?;
            let lock = File::open(&folder).map_err(failed)?;
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    let budget = free_space(&folder).map_err(failed)? / PART;
                    return Ok(Self { folder, budget, _lock: lock });
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        unreachable!("2^32 runs cannot run at once")
    }
}

impl CachePlace {
    /// The folders below `home` that no run uses.
    pub fn unused(home: &Path) -> Vec<PathBuf> {
        let folders = fs::read_dir(home.join("pictures")).into_iter().flatten().flatten();
        let is_free = |folder: &PathBuf| {
            let lock = File::open(folder);
            lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
        };
        let mut unused: Vec<_> = folders.map(|entry| entry.path()).filter(is_free).collect();
        unused.sort();
        unused
    }
}

/// Bytes that an ordinary user can still write.
fn free_space(folder: &Path) -> io::Result<u64> {
    let space = statvfs(folder)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_at_the_same_time_have_folders_of_their_own() {
        let home = tempfile::tempdir().unwrap();
        let open = || CachePlace::open(home.path()).unwrap();
        let (first, second) = (open(), open());
        assert!(first.budget > 0);
        assert_ne!(first.folder, second.folder);
        let folder = first.folder.clone();
        drop(first);
        assert_eq!(open().folder, folder);
    }
}
