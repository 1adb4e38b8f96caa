//! `runs/pulled`, where runs from elsewhere go. One arrives in a folder aside, and gets its place when
//! all of it is there and is what its record says.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ybox_spec::record::{Artifact, Record};
use ybox_spec::{Digest, files};

use super::parcel::{Parcel, ParcelError, refuse_outside};
use super::{PULLED, remember_place};

const ARRIVING: &str = ".arriving-";

/// The folder; nobody else brings runs there meanwhile.
#[derive(Debug)]
pub struct Pulled {
    parent: PathBuf,
    _lock: File,
}

/// A run that has arrived and is in order, but is not seen yet.
#[derive(Debug)]
pub struct Aside {
    pub record: Record,
    folder: tempfile::TempDir,
}

impl Pulled {
    /// Waits until nobody else brings runs to `directory`.
    pub fn below(directory: &Path) -> Result<Self, ParcelError> {
        let parent = directory.join(PULLED);
        let make = || {
            fs::create_dir_all(&parent)?;
            let lock = files::hold(&parent.join(".lock"), || ())?;
            sweep(&parent).map(|()| lock)
        };
        let lock = make().map_err(ParcelError::write(&parent))?;
        Ok(Self { parent, _lock: lock })
    }

    /// A folder that a transfer which broke off can go on with.
    pub fn aside(&self, digest: &Digest) -> PathBuf {
        self.parent.join(format!(".{}", digest.hex()))
    }

    /// Copies `files` here, each from what `open` gives for its digest.
    pub fn take_in(
        &self,
        files: &[Artifact],
        open: impl Fn(&Digest) -> io::Result<File>,
    ) -> Result<Aside, ParcelError> {
        let folder = tempfile::Builder::new()
            .prefix(ARRIVING)
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(&self.parent);
        let folder = folder.map_err(ParcelError::write(&self.parent))?;
        let mut paths = BTreeSet::new();
        for file in files {
            refuse_outside(&file.path)?;
            if !paths.insert(&file.path) {
                return Err(ParcelError::Twice(file.path.clone()));
            }
            let path = folder.path().join(&file.path);
            let copied = copy(&path, || open(&file.sha256)).map_err(ParcelError::write(&path))?;
            if copied != file.size {
                return Err(ParcelError::Differs(path));
            }
        }
        Ok(Aside { record: Parcel::check(folder.path(), files)?, folder })
    }

    /// Gives a run its place, a folder named after its hash. One that was there before gives way: it
    /// may be damaged.
    pub fn settle(&self, aside: &Path, run: &Digest, home: &Path) -> Result<PathBuf, ParcelError> {
        let folder = self.parent.join(&run.hex()[..12]);
        let old = aside.with_extension("old");
        let exchange = || {
            if folder.exists() {
                fs::rename(&folder, &old)?;
            }
            fs::rename(aside, &folder)?;
            File::open(&self.parent)?.sync_all()
        };
        exchange().map_err(ParcelError::write(&folder))?;
        let _ = fs::remove_dir_all(old);
        remember_place(home, &self.parent).map_err(ParcelError::write(home))?;
        Ok(folder)
    }

    pub fn settle_aside(&self, aside: Aside, home: &Path) -> Result<PathBuf, ParcelError> {
        let (folder, run) = (aside.folder.keep(), aside.record.run_hash);
        self.settle(&folder, &run, home)
    }
}

/// Removes what those left behind who were killed.
fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(ARRIVING.as_bytes()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn copy(path: &Path, open: impl Fn() -> io::Result<File>) -> io::Result<u64> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let mut to = File::create_new(path)?;
    let copied = io::copy(&mut open()?, &mut to)?;
    to.sync_all()?;
    Ok(copied)
}
