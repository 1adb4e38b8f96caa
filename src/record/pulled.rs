//! `runs/pulled`, where runs from elsewhere go. One arrives in a folder aside, and gets its place when
//! all of it is there and is what its record says.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ybox_spec::record::{Artifact, Record};
use ybox_spec::{Digest, files};

use super::SignedRun;
use super::parcel::{Parcel, ParcelError, refuse_outside};
use super::{PULLED, remember_place};

const ARRIVING: &str = ".arriving-";
/// Digits of a run's hash that its folder is named after.
const NAME: usize = 12;
/// Ending of a run that gives way to another arrival of it.
const FORMER: &str = ".old";

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

    /// Copies `files` here, each from what `open` gives for its digest, and keeps who signed them.
    pub fn take_in(
        &self,
        files: &[Artifact],
        signed: Option<&SignedRun>,
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
        let record = Parcel::check(folder.path(), files)?;
        signed.map_or(Ok(()), |signed| signed.keep(folder.path()))?;
        Ok(Aside { record, folder })
    }

    /// Gives a run its place, a folder named after its hash. One that was there before gives way: it
    /// may be damaged.
    pub fn settle(&self, aside: &Path, run: &Digest, home: &Path) -> Result<PathBuf, ParcelError> {
        let name = &run.hex()[..NAME];
        let folder = self.parent.join(name);
        let old = self.parent.join(format!(".{name}{FORMER}"));
        files::replace_folder(aside, &folder, &old).map_err(ParcelError::write(&folder))?;
        remember_place(home, &self.parent).map_err(ParcelError::write(home))?;
        Ok(folder)
    }

    pub fn settle_aside(&self, aside: Aside, home: &Path) -> Result<PathBuf, ParcelError> {
        let (folder, run) = (aside.folder.keep(), aside.record.run_hash);
        self.settle(&folder, &run, home)
    }
}

/// Removes what those left behind who were killed. A run that was about to give way comes back.
fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match former(&name) {
            Some(run) if !parent.join(run).exists() => fs::rename(&path, parent.join(run))?,
            Some(_) => fs::remove_dir_all(&path)?,
            None if name.starts_with(ARRIVING) => fs::remove_dir_all(&path)?,
            None => {}
        }
    }
    Ok(())
}

/// The folder of a run that had to give way.
fn former(name: &str) -> Option<&str> {
    name.strip_prefix('.')?.strip_suffix(FORMER).filter(|run| run.len() == NAME)
}

fn copy(path: &Path, open: impl Fn() -> io::Result<File>) -> io::Result<u64> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let mut to = File::create_new(path)?;
    let copied = io::copy(&mut open()?, &mut to)?;
    to.sync_all()?;
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_exchange_stands_in_nobody_s_way() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join(PULLED);
        let run = Digest::of(b"run");
        let (name, other) = (&run.hex()[..NAME], "0123456789ab");
        let make = |path: &Path, content: &str| {
            fs::create_dir_all(path).unwrap();
            fs::write(path.join("f"), content).unwrap();
        };
        let old = parent.join(format!(".{name}.old"));
        make(&parent.join(name), "first");
        make(&old, "earlier");
        make(&parent.join(format!(".{other}.old")), "other");
        let pulled = Pulled::below(dir.path()).unwrap();
        assert!(!old.exists(), "what had given way is gone");
        let content = |name: &str| fs::read_to_string(parent.join(name).join("f")).unwrap();
        assert_eq!((content(name), content(other)), ("first".into(), "other".into()));
        let aside = pulled.aside(&Digest::of(b"artifact"));
        make(&aside, "second");
        pulled.settle(&aside, &run, dir.path()).unwrap();
        assert_eq!(content(name), "second");
    }
}
