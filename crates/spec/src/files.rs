//! Writing files so that a crash leaves either the old content or the new, never a mixture, and
//! keeping other processes away meanwhile.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` through a temporary name beside it, fsync and rename.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_atomic(path, |file| file.write_all(bytes))
}

/// Like [`write_atomic`], with the content produced by `fill`. On an error the temporary file is
/// removed and `path` is as it was.
pub fn replace_atomic(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = temporary_beside(path);
    let written = File::create(&temporary).and_then(|mut file| {
        fill(&mut file)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&temporary, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&temporary);
        return renamed;
    }
    sync_directory(path)
}

/// Writes what the file at `from` holds to `path`, like [`write_atomic`].
pub fn copy_atomic(from: &Path, path: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    replace_atomic(path, |file| io::copy(&mut from, file).map(drop))
}

/// Opens the file at `path` to append to its first `length` bytes; what follows them is cut off.
pub fn cut(path: &Path, length: u64) -> io::Result<File> {
    let file = OpenOptions::new().append(true).open(path)?;
    if file.metadata()?.len() < length {
        return Err(io::Error::other(format!("it is shorter than {length} bytes")));
    }
    file.set_len(length)?;
    Ok(file)
}

/// Removes the file at `path`, if there is one.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    unless_absent(fs::remove_file(path))
}

fn unless_absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Waits until no other process holds the lock file at `path`, which is made where there is none;
/// `waiting` is called if that takes time. It is held until the file is dropped.
pub fn hold(path: &Path, waiting: impl FnOnce()) -> io::Result<File> {
    let lock = File::create(path)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            waiting();
            lock.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(lock)
}

/// Puts the folder `new` in the place of `folder`, which need not be there; it is on disk then. What
/// was there goes by the name `old` meanwhile, where an earlier try that was killed may have left
/// something, and comes back if this fails.
pub fn replace_folder(new: &Path, folder: &Path, old: &Path) -> io::Result<()> {
    unless_absent(fs::remove_dir_all(old))?;
    unless_absent(fs::rename(folder, old))?;
    if let Err(error) = fs::rename(new, folder) {
        let _ = fs::rename(old, folder);
        return Err(error);
    }
    sync_directory(folder)?;
    let _ = fs::remove_dir_all(old);
    Ok(())
}

/// Brings the file at `temporary` to the disk and gives it the name `path`, in the same folder.
pub fn settle(temporary: &Path, path: &Path) -> io::Result<()> {
    File::open(temporary)?.sync_all()?;
    fs::rename(temporary, path)?;
    sync_directory(path)
}

fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// Makes the entry of the file at `path` in its directory last.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_content_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomic(&path, b"old").unwrap();
        replace_atomic(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        })
        .unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_replaced_whatever_a_killed_try_left() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        let make = |name: &str, content: &str| {
            fs::create_dir(place(name)).unwrap();
            fs::write(place(name).join("f"), content).unwrap();
        };
        let (new, folder, old) = (place("new"), place("folder"), place("old"));
        let check = |content: &str| {
            assert_eq!(fs::read_to_string(folder.join("f")).unwrap(), content);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        };
        make("new", "first");
        replace_folder(&new, &folder, &old).unwrap();
        check("first");
        make("new", "second");
        make("old", "left");
        replace_folder(&new, &folder, &old).unwrap();
        check("second");
        replace_folder(&new, &folder, &old).unwrap_err();
        check("second");
    }
}
