//! What pictures are called in the new set. Folders are flattened, so a name that two pictures
//! share becomes the whole path.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use ybox_spec::dataset::Format;

use super::ConvertError;

/// New file names of `pictures`, which are to lie in one folder: each with a stem of its own, since
/// that is what label files are found by. A picture that stands there twice has one name.
pub fn names(pictures: &[&Path], to: Format) -> Result<Vec<String>, ConvertError> {
    let mut shared: HashMap<String, &Path> = HashMap::new();
    let mut ambiguous = HashSet::new();
    for path in pictures {
        let stem = stem(&short(path, to)?).to_owned();
        if shared.insert(stem.clone(), path).is_some_and(|other| other != *path) {
            ambiguous.insert(stem);
        }
    }
    let mut taken: HashMap<String, &Path> = HashMap::new();
    let mut names = Vec::with_capacity(pictures.len());
    for path in pictures {
        let mut name = short(path, to)?;
        if ambiguous.contains(stem(&name)) {
            name = long(path, to)?;
        }
        if let Some(one) = taken.insert(stem(&name).to_owned(), path)
            && one != *path
        {
            let (one, other) = (one.to_owned(), path.to_path_buf());
            return Err(ConvertError::SameName { one, other, name });
        }
        names.push(name);
    }
    Ok(names)
}

fn short(path: &Path, to: Format) -> Result<String, ConvertError> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(|name| fitted(name, to)).ok_or_else(|| ConvertError::NotUtf8(path.to_owned()))
}

fn long(path: &Path, to: Format) -> Result<String, ConvertError> {
    let text = path.to_str().ok_or_else(|| ConvertError::NotUtf8(path.to_owned()))?;
    Ok(fitted(&text.replace('/', "_"), to))
}

/// An image set has one name a line, without spaces, and leaves the ending to be found.
fn fitted(name: &str, to: Format) -> String {
    match (to, name.rsplit_once('.')) {
        (Format::Voc, Some((stem, ending))) => {
            let stem = stem.replace(char::is_whitespace, "_");
            format!("{stem}.{}", ending.to_ascii_lowercase())
        }
        _ => name.to_owned(),
    }
}

/// The name without its ending.
pub fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pictures: &[&str], to: Format) -> Result<Vec<String>, ConvertError> {
        names(&pictures.iter().map(Path::new).collect::<Vec<_>>(), to)
    }

    #[test]
    fn a_shared_name_becomes_the_whole_path() {
        let pictures = ["i/a/1.jpg", "i/b/1.png", "i/b/2 3.JPG", "i/b/2 3.JPG"];
        let given = named(&pictures, Format::Yolo).unwrap();
        assert_eq!(given, ["i_a_1.jpg", "i_b_1.png", "2 3.JPG", "2 3.JPG"]);
        let given = named(&pictures, Format::Voc).unwrap();
        assert_eq!(given[2..], ["2_3.jpg", "2_3.jpg"]);
    }

    #[test]
    fn names_that_cannot_be_told_apart_are_refused() {
        let error = named(&["a/1.jpg", "a/1.png"], Format::Coco).unwrap_err();
        assert_eq!(error.to_string(), "a/1.jpg and a/1.png would both be called a_1.png");
    }
}
