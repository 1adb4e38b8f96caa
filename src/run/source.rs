//! `source=`: the pictures that predict works on. A file, a folder (its own pictures, not those of
//! folders in it) or a glob (`*`, `?`, `[a-z]`, `{a,b}`, and `**` for any depth of folders).
//!
//! Not films: their decoders either need libraries that the images do not have, or are too young
//! to be fed with other people's files, and the frames of a film are pictures.

use std::fs;
use std::path::{Path, PathBuf};

use globset::GlobBuilder;
use ybox_spec::dataset::is_image;

use super::RunError;

/// Pictures, and the folder that they are all in.
#[derive(Debug, PartialEq)]
pub struct Source {
    /// Absolute.
    pub root: PathBuf,
    /// Relative to the root, sorted.
    pub pictures: Vec<PathBuf>,
    /// The first film beside them.
    pub film: Option<PathBuf>,
}

impl Source {
    /// The pictures, and a film, among `found`.
    fn new(root: PathBuf, mut found: Vec<PathBuf>) -> Self {
        found.sort();
        let film = found.iter().find(|path| is_film(path)).cloned();
        found.retain(|path| is_image(path));
        Self { root, pictures: found, film }
    }
}

/// Endings of films, and of pictures that move, in lower case.
const FILMS: [&str; 14] = [
    "asf", "avi", "gif", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ogv", "ts", "webm", "wmv",
    "3gp",
];

/// Finds what `given` names, seen from `directory`.
pub fn find(directory: &Path, given: &str) -> Result<Source, RunError> {
    let refuse = |reason: &str| RunError::Source { given: given.into(), reason: reason.into() };
    let place = directory.join(given);
    let source = if place.is_file() {
        single(&place)
    } else if place.is_dir() {
        folder(&place)
    } else if is_pattern(given) {
        glob(directory, given)
    } else if let Some(reason) = moving(given) {
        return Err(refuse(reason));
    } else if given.contains("://") {
        return Err(refuse("a run has no network; download the pictures first"));
    } else {
        return Err(refuse("there is no such file or folder"));
    };
    match source {
        Some(source) if source.pictures.is_empty() => match source.film {
            Some(film) => Err(refuse(&no_film(&source.root.join(film)))),
            None => Err(refuse("there are no pictures")),
        },
        Some(source) => Ok(source),
        None => Err(refuse("there is no such folder")),
    }
}

/// Why a camera, a screen or a stream is no source.
fn moving(given: &str) -> Option<&'static str> {
    let stream = ["rtsp://", "rtmp://", "tcp://"].iter().any(|scheme| given.starts_with(scheme));
    let camera = !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit());
    match given.split(' ').next() {
        _ if stream => Some("a run has no network, and ybox works on pictures, not on streams"),
        _ if camera => {
            Some("ybox works on pictures, not on cameras; there is no file of that name")
        }
        Some("screen") => Some("ybox works on pictures, not on the screen"),
        _ => None,
    }
}

fn single(place: &Path) -> Option<Source> {
    let name = PathBuf::from(place.file_name()?);
    let root = fs::canonicalize(place.parent()?).ok()?;
    Some(Source::new(root, vec![name]))
}

fn folder(place: &Path) -> Option<Source> {
    let root = fs::canonicalize(place).ok()?;
    let files = names(&root).into_iter().map(PathBuf::from);
    let files = files.filter(|name| root.join(name).is_file()).collect();
    Some(Source::new(root, files))
}

fn glob(directory: &Path, given: &str) -> Option<Source> {
    let parts: Vec<_> = given.split('/').collect();
    let fixed = parts.iter().take_while(|part| !is_pattern(part)).count();
    let base = match parts[..fixed].join("/") {
        base if base.is_empty() && given.starts_with('/') => "/".to_owned(),
        base => base,
    };
    let root = fs::canonicalize(directory.join(base)).ok()?;
    let pattern = parts[fixed..].join("/");
    let matcher =
        GlobBuilder::new(&pattern).literal_separator(true).build().ok()?.compile_matcher();
    let depth = if pattern.contains("**") { usize::MAX } else { parts.len() - fixed };
    let mut found = Vec::new();
    walk(&root, Path::new(""), depth, &mut found);
    found.retain(|path| matcher.is_match(path));
    Some(Source::new(root, found))
}

fn is_film(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    FILMS.contains(&ending.to_ascii_lowercase().as_str())
}

fn no_film(film: &Path) -> String {
    let film = film.display();
    format!(
        "{film} is a film, and the image has no decoder for films; make pictures of it with \
         `mkdir frames && ffmpeg -i '{film}' frames/%06d.jpg`, and say source=frames"
    )
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// Adds the files of `root/inner`, and of the folders in it down to `depth` levels.
fn walk(root: &Path, inner: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for name in names(&root.join(inner)) {
        let path = inner.join(&name);
        let place = root.join(&path);
        if !place.is_dir() {
            found.push(path);
        } else if depth > 1 && !(depth == usize::MAX && place.is_symlink()) {
            // As in shells, `**` does not follow links: they could lead back up.
            let rest = if depth == usize::MAX { depth } else { depth - 1 };
            walk(root, &path, rest, found);
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "a/1.jpg",
            "a/2.PNG",
            "a/note.txt",
            "a/deep/3.jpg",
            "b/1.jpg",
            "empty/x.txt",
            "a/film.MP4",
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    #[test]
    fn finds_files_folders_and_globs() {
        let dir = set();
        for (given, root, pictures) in [
            ("a/1.jpg", "a", vec!["1.jpg"]),
            ("a", "a", vec!["1.jpg", "2.PNG"]),
            ("a/*.jpg", "a", vec!["1.jpg"]),
            ("*/1.jpg", "", vec!["a/1.jpg", "b/1.jpg"]),
            ("**/*.jpg", "", vec!["a/1.jpg", "a/deep/3.jpg", "b/1.jpg"]),
            ("a/**/[2-3]*", "a", vec!["2.PNG", "deep/3.jpg"]),
            ("{a,b}/?.jpg", "", vec!["a/1.jpg", "b/1.jpg"]),
        ] {
            let source = find(dir.path(), given).unwrap();
            assert_eq!(source.root, fs::canonicalize(dir.path().join(root)).unwrap(), "{given}");
            let pictures: Vec<_> = pictures.into_iter().map(PathBuf::from).collect();
            assert_eq!(source.pictures, pictures, "{given}");
        }
    }

    #[test]
    fn says_why_there_is_nothing() {
        let dir = set();
        for (given, reason) in [
            ("c", "there is no such file or folder"),
            ("empty", "there are no pictures"),
            ("a/note.txt", "there are no pictures"),
            ("a/*.webp", "there are no pictures"),
            ("0", "ybox works on pictures, not on cameras; there is no file of that name"),
            ("screen", "ybox works on pictures, not on the screen"),
            ("rtsp://x/y", "a run has no network, and ybox works on pictures, not on streams"),
            ("https://x/y.jpg", "a run has no network; download the pictures first"),
        ] {
            let message = find(dir.path(), given).unwrap_err().to_string();
            assert_eq!(message, format!("source={given}: {reason}"));
        }
    }

    #[test]
    fn a_film_is_refused_with_what_to_do_and_passed_over_beside_pictures() {
        let dir = set();
        for (file, given) in
            [("f/x.MP4", "f/x.MP4"), ("g/x.gif", "g"), ("h/a/y.mov", "h/**/*"), ("i/x.webm", "i/*")]
        {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
            let message = find(dir.path(), given).unwrap_err().to_string();
            assert!(message.contains(" is a film, and the image has no decoder"), "{message}");
            assert!(message.contains("ffmpeg -i '/"), "{message}");
        }
        let source = find(dir.path(), "a").unwrap();
        assert_eq!(source.pictures, ["1.jpg", "2.PNG"].map(PathBuf::from));
        assert_eq!(source.film, Some("film.MP4".into()));
    }
}
