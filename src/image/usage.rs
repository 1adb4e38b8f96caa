//! Who uses the store: everyone who has it open holds a shared lock, so that whoever tidies it up,
//! alone, takes nothing away from a build, a pull or a run.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{ImageError, Store};

const LOCK: &str = ".use";

impl Store {
    /// The store under `home` for this process alone; nothing if another one uses it.
    pub fn alone(home: &Path) -> Result<Option<Self>, ImageError> {
        let mut store = Self::unshared(home)?;
        let failed = ImageError::io("lock the image store");
        let lock = open(&store.layout).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {
                store.usage = Some(Arc::new(lock));
                Ok(Some(store))
            }
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(e)) => Err(ImageError::io("lock the image store")(e)),
        }
    }
}

/// Takes a share; waits while somebody tidies up. Nothing in a store that cannot be written to,
/// where nobody tidies up either.
pub(super) fn share(layout: &Path) -> io::Result<Option<Arc<File>>> {
    let lock = match open(layout) {
        Ok(lock) => lock,
        Err(e) if is_read_only(&e) => return Ok(None),
        Err(e) => return Err(e),
    };
    lock.lock_shared()?;
    Ok(Some(Arc::new(lock)))
}

/// The same of a lock that is there already: it is not made.
pub(super) fn share_existing(layout: &Path) -> io::Result<Option<Arc<File>>> {
    match File::open(layout.join(LOCK)) {
        Ok(lock) => lock.lock_shared().map(|()| Some(Arc::new(lock))),
        Err(e) if e.kind() == io::ErrorKind::NotFound || is_read_only(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn open(layout: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).open(layout.join(LOCK))
}
