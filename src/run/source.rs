//! `source=`: the pictures that predict works on. A file, a folder (its own pictures, not those of
//! folders in it) or a glob (`*`, `?`, `[a-z]`, and `**` for any depth of folders).

use std::fs;
use std::path::{Path, PathBuf};

use ybox_spec::dataset::is_image;

use super::RunError;

/// Pictures, and the folder that they are all in.
#[derive(Debug, PartialEq)]
pub struct Source {
    /// Absolute.
    pub root: PathBuf,
    /// Relative to the root, sorted.
    pub pictures: Vec<PathBuf>,
}

/// Finds what `given` names, seen from `directory`.
pub fn find(directory: &Path, given: &str) -> Result<Source, RunError> {
    let refuse = |reason: &str| RunError::Source { given: given.into(), reason: reason.into() };
    let place = directory.join(given);
    let source = if place.is_file() {
        single(&place)
    } else if place.is_dir() {
        folder(&place)
    } else if given.contains(['*', '?', '[']) {
        glob(directory, given)
    } else if given.contains("://") {
        return Err(refuse("a run has no network; download the pictures first"));
    } else {
        return Err(refuse("there is no such file or folder"));
    };
    match source {
        Some(source) if source.pictures.is_empty() => Err(refuse("there are no pictures")),
        Some(source) => Ok(source),
        None => Err(refuse("there is no such folder")),
    }
}

fn single(place: &Path) -> Option<Source> {
    let name = PathBuf::from(place.file_name()?);
    let root = fs::canonicalize(place.parent()?).ok()?;
    Some(Source { root, pictures: Some(name).filter(|n| is_image(n)).into_iter().collect() })
}

fn folder(place: &Path) -> Option<Source> {
    let root = fs::canonicalize(place).ok()?;
    let mut pictures: Vec<_> = names(&root)
        .into_iter()
        .map(PathBuf::from)
        .filter(|name| is_image(name) && root.join(name).is_file())
        .collect();
    pictures.sort();
    Some(Source { root, pictures })
}

fn glob(directory: &Path, given: &str) -> Option<Source> {
    let is_pattern = |part: &&str| part.contains(['*', '?', '[']);
    let parts: Vec<_> = given.split('/').collect();
    let fixed = parts.iter().take_while(|part| !is_pattern(part)).count();
    let base = match parts[..fixed].join("/") {
        base if base.is_empty() && given.starts_with('/') => "/".to_owned(),
        base => base,
    };
    let root = fs::canonicalize(directory.join(base)).ok()?;
    let mut pictures = Vec::new();
    walk(&root, Path::new(""), &parts[fixed..], &mut pictures);
    pictures.sort();
    pictures.dedup();
    Some(Source { root, pictures })
}

/// Adds the pictures below `root/inner` that `pattern` fits.
fn walk(root: &Path, inner: &Path, pattern: &[&str], found: &mut Vec<PathBuf>) {
    let Some((part, rest)) = pattern.split_first() else { return };
    if *part == "**" {
        walk(root, inner, rest, found);
    }
    for name in names(&root.join(inner)) {
        let path = inner.join(&name);
        let is_folder = root.join(&path).is_dir();
        let is_link = root.join(&path).is_symlink();
        match (*part, rest) {
            // As in shells, `**` doesn't follow links: they could lead back up.
            ("**", _) if is_folder && !is_link => walk(root, &path, pattern, found),
            ("**", _) => {}
            (part, []) if !is_folder && is_image(&path) && fits(part, &name) => found.push(path),
            (part, rest) if is_folder && fits(part, &name) => walk(root, &path, rest, found),
            _ => {}
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Whether the pattern of one path component fits `name`.
fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<_> = pattern.chars().collect();
    let name: Vec<_> = name.chars().collect();
    fits_from(&pattern, &name)
}

fn fits_from(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|taken| fits_from(rest, &name[taken..])),
        ['?', rest @ ..] => !name.is_empty() && fits_from(rest, &name[1..]),
        ['[', rest @ ..] if rest.iter().skip(1).any(|c| *c == ']') => {
            let end = rest.iter().skip(1).position(|c| *c == ']').map_or(rest.len(), |i| i + 1);
            let in_set = |c: &char| is_in_set(&rest[..end], *c);
            name.first().is_some_and(in_set) && fits_from(&rest[end + 1..], &name[1..])
        }
        [literal, rest @ ..] => name.first() == Some(literal) && fits_from(rest, &name[1..]),
    }
}

/// `set` is what stands between the brackets: characters, ranges, after `!` or `^` their complement.
fn is_in_set(set: &[char], c: char) -> bool {
    if let ['!' | '^', rest @ ..] = set {
        return !is_in_set(rest, c);
    }
    let mut rest = set;
    while let Some((first, after)) = rest.split_first() {
        if let ['-', last, more @ ..] = after {
            if (*first..=*last).contains(&c) {
                return true;
            }
            rest = more;
        } else if *first == c {
            return true;
        } else {
            rest = after;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in ["a/1.jpg", "a/2.PNG", "a/note.txt", "a/deep/3.jpg", "b/1.jpg", "empty/x.txt"] {
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
            ("https://x/y.jpg", "a run has no network; download the pictures first"),
        ] {
            let message = find(dir.path(), given).unwrap_err().to_string();
            assert_eq!(message, format!("source={given}: {reason}"));
        }
    }

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, name) in [("*", "x"), ("a?c", "abc"), ("[!a]x", "bx"), ("[]]", "]"), ("[a", "[a")] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a?c", "ac"), ("[a-c]", "d"), ("*.jpg", "jpg"), ("", "x")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
