//! Digests of files remembered between runs, by what tells a file from a changed one. Which files
//! those are, and hashing them, are others' matters.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ybox_spec::{Digest, files};

/// A file changed this recently may change again without its times showing it, so its digest is
/// not remembered. Covers file systems that keep whole seconds (FAT: two).
const SETTLED: Duration = Duration::from_secs(3);

/// First line of a memory on disk.
const FORM: &[u8] = b"ybox.digests/v1\n";

/// What tells that a file is the one that was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub size: u64,
    inode: u64,
    mtime: (i64, i64),
    /// Set by the kernel alone: unlike `mtime`, no program can put it back.
    ctime: (i64, i64),
}

impl Stamp {
    pub fn of(meta: &Metadata) -> Self {
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
#[derive(Debug)]
pub struct FileDigests {
    /// Absolute.
    root: PathBuf,
    /// By path relative to the root: a plain string, since comparing paths part by part is slow.
    files: HashMap<OsString, (Stamp, Digest)>,
    /// Whether the memory on disk is another one.
    changed: bool,
}

impl FileDigests {
    /// What `home` remembers of the files below `root`; nothing, if that cannot be read.
    pub fn open(home: &Path, root: &Path) -> Self {
        let read = File::open(Self::place(home, root)).and_then(|file| read(file, root));
        match read.ok().flatten() {
            Some(files) => Self { root: root.to_owned(), files, changed: false },
            None => Self::empty(root),
        }
    }

    /// No digest of any file below `root`.
    pub fn empty(root: &Path) -> Self {
        Self { root: root.to_owned(), files: HashMap::new(), changed: false }
    }

    /// Remembers them in `home`, if there is anything new.
    pub fn save(&self, home: &Path) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let place = Self::place(home, &self.root);
        fs::create_dir_all(place.parent().unwrap_or(home))?;
        files::replace_atomic(&place, |file| {
            let mut out = BufWriter::new(file);
            self.write(&mut out)?;
            out.flush()
        })
    }

    fn place(home: &Path, root: &Path) -> PathBuf {
        let name = Digest::of(root.as_os_str().as_bytes()).hex();
        home.join("manifests").join(&name[..32]).with_extension("digests")
    }

    /// After the first line the root, then a line for each file: digest, size, inode, times and
    /// path, one space apart.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(FORM)?;
        out.write_all(self.root.as_os_str().as_bytes())?;
        out.write_all(b"\n")?;
        for (path, (stamp, digest)) in &self.files {
            let Stamp { size, inode, mtime, ctime } = stamp;
            write!(out, "{} {size} {inode} {} {} ", digest.hex(), mtime.0, mtime.1)?;
            write!(out, "{} {} ", ctime.0, ctime.1)?;
            out.write_all(path.as_bytes())?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The digest of a file that looks as it did when it was hashed.
    pub(super) fn get(&self, path: &Path, stamp: Stamp) -> Option<Digest> {
        let known = self.files.get(path.as_os_str());
        known.filter(|(known, _)| *known == stamp).map(|(_, digest)| *digest)
    }

    pub(super) fn knows(&self, path: &Path) -> bool {
        self.files.contains_key(path.as_os_str())
    }

    /// Remembers a digest, unless the file may yet change without a sign. A path with a line break
    /// has no place in the memory.
    pub(super) fn add(&mut self, path: &Path, stamp: Stamp, digest: Digest, now: SystemTime) {
        if stamp.is_settled(now) && !path.as_os_str().as_bytes().contains(&b'\n') {
            self.files.insert(path.into(), (stamp, digest));
            self.changed = true;
        }
    }
}

/// `None` if it is not a memory of files below `root`.
fn read(file: File, root: &Path) -> io::Result<Option<HashMap<OsString, (Stamp, Digest)>>> {
    let mut input = BufReader::new(file);
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    input.read_until(b'\n', &mut line)?;
    if line != [FORM, root.as_os_str().as_bytes(), b"\n"].concat() {
        return Ok(None);
    }
    let mut files = HashMap::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(Some(files));
        }
        let Some((path, known)) = parse(&line) else { return Ok(None) };
        files.insert(path, known);
    }
}

fn parse(line: &[u8]) -> Option<(OsString, (Stamp, Digest))> {
    let mut parts = line.strip_suffix(b"\n")?.splitn(8, |byte| *byte == b' ');
    let digest = Digest::from_hex(std::str::from_utf8(parts.next()?).ok()?).ok()?;
    let stamp = Stamp {
        size: number(parts.next())?,
        inode: number(parts.next())?,
        mtime: (number(parts.next())?, number(parts.next())?),
        ctime: (number(parts.next())?, number(parts.next())?),
    };
    Some((OsString::from_vec(parts.next()?.to_vec()), (stamp, digest)))
}

fn number<T: FromStr>(part: Option<&[u8]>) -> Option<T> {
    std::str::from_utf8(part?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(path: &Path) -> Stamp {
        Stamp::of(&fs::metadata(path).unwrap())
    }

    #[test]
    fn remembers_no_file_that_was_changed_just_now() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("a");
        fs::write(&place, "x").unwrap();
        let mut known = FileDigests::empty(root.path());
        let (path, digest, now) = (Path::new("a"), Digest::of(b"x"), SystemTime::now());
        known.add(path, stamp(&place), digest, now);
        assert!(!known.knows(path));
        known.add(path, stamp(&place), digest, now + Duration::from_secs(10));
        assert_eq!(known.get(path, stamp(&place)), Some(digest));
    }

    #[test]
    fn what_was_saved_is_known_again() {
        let home = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let later = SystemTime::now() + Duration::from_secs(10);
        let odd = [&b"plain"[..], b"with a space", b"\xff not UTF-8", b"a\nbreak"];
        let mut known = FileDigests::empty(root.path());
        for name in odd {
            let path = PathBuf::from(OsString::from_vec(name.to_vec()));
            fs::write(root.path().join(&path), name).unwrap();
            known.add(&path, stamp(&root.path().join(&path)), Digest::of(name), later);
        }
        known.save(home.path()).unwrap();
        let again = FileDigests::open(home.path(), root.path());
        assert_eq!(again.files, known.files);
        assert_eq!(again.files.len(), 3);
        assert!(FileDigests::open(home.path(), home.path()).files.is_empty());
    }

    #[test]
    fn a_damaged_memory_is_an_empty_one() {
        let home = tempfile::tempdir().unwrap();
        let root = Path::new("/data");
        let place = FileDigests::place(home.path(), root);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let good = format!("ybox.digests/v1\n/data\n{} 1 2 3 4 5 6 a\n", Digest::of(b"").hex());
        fs::write(&place, &good).unwrap();
        assert!(FileDigests::open(home.path(), root).knows(Path::new("a")));
        for bad in ["", "{", &good.replace("/v1", "/v2"), &good.replace(" 6 a", " a"), &good[..99]]
        {
            fs::write(&place, bad).unwrap();
            assert!(FileDigests::open(home.path(), root).files.is_empty(), "{bad}");
        }
    }
}
