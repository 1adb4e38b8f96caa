//! Places for what is mounted where the image has nothing. The unpacked image is read-only and
//! shared, so bubblewrap can't make them in it: the folder that lacks the place is laid out anew, its
//! entries mounted one by one into an empty one.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// More links in one path are a circle.
const MOST_LINKS: usize = 40;

/// Where `path` of the image at `root` leads, links followed; and how much of it exists.
pub struct Place {
    /// Exists in the image.
    pub folder: PathBuf,
    /// Does not.
    pub rest: PathBuf,
}

impl Place {
    pub fn find(root: &Path, path: &Path) -> Self {
        let mut folder = PathBuf::from("/");
        let mut ahead = components(path);
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            let next = folder.join(&name);
            let inside = root.join(next.strip_prefix("/").unwrap_or(&next));
            match (fs::symlink_metadata(&inside), fs::read_link(&inside)) {
                (Ok(_), Ok(link)) if links < MOST_LINKS => {
                    links += 1;
                    let followed = components(&folder.join(link));
                    folder = "/".into();
                    ahead = followed.into_iter().chain(ahead).collect();
                }
                (Ok(_), _) => folder = next,
                (Err(_), _) => {
                    let rest = std::iter::once(name).chain(ahead).collect();
                    return Self { folder, rest };
                }
            }
        }
        Self { folder, rest: PathBuf::new() }
    }

    /// The whole path, without links.
    pub fn path(&self) -> PathBuf {
        if self.rest.as_os_str().is_empty() {
            self.folder.clone()
        } else {
            self.folder.join(&self.rest)
        }
    }
}

/// Plain names, `..` resolved.
fn components(path: &Path) -> VecDeque<OsString> {
    let mut names = VecDeque::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push_back(name.to_owned()),
            Component::ParentDir => _ = names.pop_back(),
            _ => {}
        }
    }
    names
}

/// The folders of the image at `root` in which something of `targets` has no place, outer ones first.
/// Those at the top are bubblewrap's own already.
pub fn lacking(root: &Path, targets: &[PathBuf]) -> BTreeSet<PathBuf> {
    let places = targets.iter().map(|target| Place::find(root, target));
    let lacking = places.filter(|place| !place.rest.as_os_str().is_empty()).map(|p| p.folder);
    lacking.filter(|folder| folder != Path::new("/")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn image() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/lib/x")).unwrap();
        fs::write(root.path().join("usr/lib/x/libc.so.6"), "").unwrap();
        symlink("usr/lib", root.path().join("lib")).unwrap();
        symlink("/usr/lib/x", root.path().join("usr/absolute")).unwrap();
        symlink("../usr/lib", root.path().join("usr/up")).unwrap();
        symlink("round", root.path().join("usr/round")).unwrap();
        root
    }

    #[test]
    fn links_are_followed_inside_the_image() {
        let root = image();
        for (path, folder, rest) in [
            ("/usr/lib/x/libc.so.6", "/usr/lib/x/libc.so.6", ""),
            ("/lib/x/libcuda.so.1", "/usr/lib/x", "libcuda.so.1"),
            ("/usr/absolute/libcuda.so.1", "/usr/lib/x", "libcuda.so.1"),
            ("/usr/up/nvidia/wine", "/usr/lib", "nvidia/wine"),
            ("/run/socket", "/", "run/socket"),
        ] {
            let place = Place::find(root.path(), Path::new(path));
            assert_eq!(place.folder, Path::new(folder), "{path}");
            assert_eq!(place.rest, Path::new(rest), "{path}");
        }
        Place::find(root.path(), Path::new("/usr/round/a"));
    }

    #[test]
    fn only_folders_that_lack_something_are_laid_out_anew() {
        let root = image();
        let targets = ["/lib/x/libcuda.so.1", "/usr/lib/x/libc.so.6", "/run/a", "/usr/share/n/a"];
        let found = lacking(root.path(), &targets.map(PathBuf::from));
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["/usr", "/usr/lib/x"].map(PathBuf::from)
        );
    }
}
