//! Giving the writable mounts to the container's user for a run, and back afterwards. Symbolic
//! links are never followed, whatever a container left behind.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid};

use super::{EngineError, HandOver, Ids, Mount};

/// Writable mounts in the container user's hands; given back when dropped.
#[derive(Debug)]
pub struct Lent {
    mounts: Vec<(PathBuf, Ids)>,
}

/// Hands over what can be written to, once it is sure that the rest can be read. Does nothing
/// without a `hand_over`.
pub fn lend(mounts: &[Mount], hand_over: Option<HandOver>) -> Result<Lent, EngineError> {
    let mut lent = Lent { mounts: Vec::new() };
    let Some(HandOver { to, back }) = hand_over else { return Ok(lent) };
    for mount in mounts.iter().filter(|mount| !mount.writable) {
        check_readable(&mount.source, to)?;
    }
    for mount in mounts.iter().filter(|mount| mount.writable) {
        let failed = |source| EngineError::Ownership { path: mount.source.clone(), source };
        let owner = owner(&mount.source).map_err(failed)?;
        // A run that was killed outright could not give its mounts back.
        let after = if owner.0 == 0 || owner == to { back } else { owner };
        lent.mounts.push((mount.source.clone(), after));
        give(&mount.source, to).map_err(failed)?;
    }
    Ok(lent)
}

impl Lent {
    /// Gives everything back, and says where that failed.
    pub fn give_back(mut self) -> Result<(), EngineError> {
        self.return_all()
    }

    fn return_all(&mut self) -> Result<(), EngineError> {
        let mut outcome = Ok(());
        for (path, owner) in self.mounts.drain(..) {
            if let Err(source) = give(&path, owner) {
                outcome = outcome.and(Err(EngineError::Ownership { path, source }));
            }
        }
        outcome
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Only where the run failed already, and that is what the caller is told.
        let _ = self.return_all();
    }
}

/// Only the mount itself is looked at: what hides deeper is found by who reads it.
fn check_readable(path: &Path, by: Ids) -> Result<(), EngineError> {
    const READ_AND_ENTER: u32 = 0o5;
    const READ: u32 = 0o4;
    let metadata =
        std::fs::metadata(path).map_err(EngineError::io(format!("read {}", path.display())))?;
    let shift = match (metadata.uid() == by.0, metadata.gid() == by.1) {
        (true, _) => 6,
        (false, true) => 3,
        (false, false) => 0,
    };
    let needed = if metadata.is_dir() { READ_AND_ENTER } else { READ };
    match (metadata.mode() >> shift) & needed == needed {
        true => Ok(()),
        false => Err(EngineError::Unreadable { path: path.into(), uid: by.0 }),
    }
}

fn owner(path: &Path) -> io::Result<Ids> {
    std::fs::metadata(path).map(|m| (m.uid(), m.gid()))
}

fn give(path: &Path, to: Ids) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    rustix::fs::fchown(&file, uid(to), gid(to))?;
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::Directory => give_entries(&file, to),
        _ => Ok(()),
    }
}

fn give_entries(folder: &OwnedFd, to: Ids) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        rustix::fs::chownat(folder, name, uid(to), gid(to), AtFlags::SYMLINK_NOFOLLOW)?;
        if entry.file_type() == FileType::Directory {
            give_entries(&subfolder(folder.as_fd(), name)?, to)?;
        }
    }
    Ok(())
}

fn subfolder(folder: impl AsFd, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?)
}

fn uid(ids: Ids) -> Option<Uid> {
    Some(Uid::from_raw(ids.0))
}

fn gid(ids: Ids) -> Option<Gid> {
    Some(Gid::from_raw(ids.1))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{lchown, symlink};

    use super::*;

    const TO: Ids = (65532, 65532);
    const ALICE: Ids = (1234, 1235);

    fn ids(path: &Path) -> Ids {
        let metadata = std::fs::symlink_metadata(path).unwrap();
        (metadata.uid(), metadata.gid())
    }

    /// `outside`, and a folder `out` with a file and a link to `outside` two levels down.
    fn tree() -> Option<(tempfile::TempDir, Vec<Mount>)> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can change owners");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("out/sub")).unwrap();
        std::fs::write(dir.path().join("out/sub/file"), "").unwrap();
        std::fs::write(dir.path().join("outside"), "").unwrap();
        symlink(dir.path().join("outside"), dir.path().join("out/sub/link")).unwrap();
        let source = dir.path().join("out");
        let mounts = vec![Mount { source, target: "/out".into(), writable: true }];
        Some((dir, mounts))
    }

    #[test]
    fn lends_the_tree_and_gives_it_back_without_following_links() {
        let Some((dir, mounts)) = tree() else { return };
        let lent = lend(&mounts, Some(HandOver { to: TO, back: (0, 0) })).unwrap();
        for path in ["out", "out/sub", "out/sub/file", "out/sub/link"] {
            assert_eq!(ids(&dir.path().join(path)), TO, "{path}");
        }
        assert_eq!(ids(&dir.path().join("outside")), (0, 0));
        drop(lent);
        for path in ["out", "out/sub", "out/sub/file", "out/sub/link"] {
            assert_eq!(ids(&dir.path().join(path)), (0, 0), "{path}");
        }
    }

    #[test]
    fn a_folder_of_someone_else_is_theirs_again() {
        let Some((dir, mounts)) = tree() else { return };
        let out = dir.path().join("out");
        lchown(&out, Some(ALICE.0), Some(ALICE.1)).unwrap();
        let lent = lend(&mounts, Some(HandOver { to: TO, back: (0, 0) })).unwrap();
        assert_eq!(ids(&out), TO);
        lent.give_back().unwrap();
        assert_eq!(ids(&out.join("sub/file")), ALICE);
    }

    #[test]
    fn what_a_killed_run_left_behind_goes_to_the_caller() {
        let Some((dir, mounts)) = tree() else { return };
        let hand_over = Some(HandOver { to: TO, back: (0, 0) });
        std::mem::forget(lend(&mounts, hand_over).unwrap());
        lend(&mounts, hand_over).unwrap().give_back().unwrap();
        assert_eq!(ids(&dir.path().join("out/sub/file")), (0, 0));
    }

    #[test]
    fn a_mount_that_the_container_could_not_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("data");
        std::fs::create_dir(&folder).unwrap();
        let own = owner(&folder).unwrap();
        let stranger = (own.0 + 1, own.1 + 1);
        let outcome = |mode, by| {
            std::fs::set_permissions(&folder, PermissionsExt::from_mode(mode)).unwrap();
            check_readable(&folder, by).is_ok()
        };
        assert!(outcome(0o700, own) && outcome(0o755, stranger));
        assert!(outcome(0o750, (stranger.0, own.1)));
        assert!(!outcome(0o700, stranger) && !outcome(0o744, stranger));
    }

    #[test]
    fn read_only_mounts_are_left_alone() {
        let Some((dir, mut mounts)) = tree() else { return };
        mounts[0].writable = false;
        let _lent = lend(&mounts, Some(HandOver { to: TO, back: (0, 0) })).unwrap();
        assert_eq!(ids(&dir.path().join("out")), (0, 0));
    }
}
