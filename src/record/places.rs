//! Where runs lie: `<home>/run-places`, a folder a line. Whoever tidies up the images looks there for
//! runs that still need them.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use ybox_spec::Digest;
use ybox_spec::record::{Beginning, Record};

use super::folder::file;

const PLACES: &str = "run-places";

/// Remembers that run folders lie in `parent`. Absolute.
pub fn remember_place(home: &Path, parent: &Path) -> io::Result<()> {
    let mut places =
        OpenOptions::new().read(true).append(true).create(true).open(home.join(PLACES))?;
    places.lock()?;
    places.rewind()?;
    let mut known = Vec::new();
    places.read_to_end(&mut known)?;
    let path = parent.as_os_str().as_encoded_bytes();
    if known.split(|byte| *byte == b'\n').any(|line| line == path) || path.contains(&b'\n') {
        return Ok(());
    }
    places.write_all(&[path, b"\n"].concat())?;
    places.sync_all()
}

/// The folders that hold run folders, as far as they still exist.
pub fn places(home: &Path) -> io::Result<Vec<PathBuf>> {
    let bytes = match fs::read(home.join(PLACES)) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(e),
    };
    use std::os::unix::ffi::OsStrExt;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let paths = lines.map(|line| PathBuf::from(std::ffi::OsStr::from_bytes(line)));
    Ok(paths.filter(|path| path.is_dir()).collect())
}

/// Config digests of the images that runs in `parents` were started with.
///
/// # Errors
/// A run that cannot be read: nobody knows what it needs.
pub fn images_of_runs(parents: &[PathBuf]) -> Result<Vec<Digest>, (PathBuf, String)> {
    let mut images = Vec::new();
    for parent in parents {
        let unreadable = |e: io::Error| (parent.clone(), e.to_string());
        for entry in fs::read_dir(parent).map_err(unreadable)? {
            let folder = entry.map_err(unreadable)?.path();
            images.extend(image_of(&folder, file::START, |b: Beginning| b.inputs.image)?);
            images.extend(image_of(&folder, file::RECORD, |r: Record| r.inputs.image)?);
        }
    }
    Ok(images)
}

fn image_of<T: serde::de::DeserializeOwned>(
    folder: &Path,
    name: &str,
    image: impl FnOnce(T) -> Digest,
) -> Result<Option<Digest>, (PathBuf, String)> {
    let path = folder.join(name);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err((path, e.to_string())),
    };
    match serde_json::from_slice(&bytes) {
        Ok(document) => Ok(Some(image(document))),
        Err(e) => Err((path, e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_remembered_once_and_forgotten_with_its_folder() {
        let home = tempfile::tempdir().unwrap();
        let parent = home.path().join("runs/train");
        fs::create_dir_all(&parent).unwrap();
        for _ in 0..2 {
            remember_place(home.path(), &parent).unwrap();
        }
        let parents = [parent.clone()];
        assert_eq!(places(home.path()).unwrap(), parents);
        fs::create_dir(parent.join("exp")).unwrap();
        assert_eq!(images_of_runs(&parents), Ok(vec![]));
        fs::write(parent.join("exp/start.json"), "{").unwrap();
        assert!(images_of_runs(&parents).is_err());
        fs::remove_dir_all(&parent).unwrap();
        assert!(places(home.path()).unwrap().is_empty());
    }
}
