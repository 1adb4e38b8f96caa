//! Reading a data set's YAML file and finding its pictures and labels. What stands inside a label
//! is the trainer's business; what the files hash to is `manifest`'s.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_yaml::Value;

/// File name endings of pictures, in lower case.
pub const IMAGE_EXTENSIONS: [&str; 5] = ["jpg", "jpeg", "png", "bmp", "webp"];

#[derive(Debug, thiserror::Error)]
pub enum DataSetError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a data set description: {reason}", path.display())]
    Document { path: PathBuf, reason: String },
    #[error("{} has no `{split}` split", path.display())]
    NoSplit { path: PathBuf, split: String },
    #[error("`{split}` of {} names {}, which lies outside the data set's folder {}", yaml.display(), path.display(), root.display())]
    OutsideRoot { yaml: PathBuf, split: String, path: PathBuf, root: PathBuf },
    #[error("`{split}` of {} names {}, which does not exist", yaml.display(), path.display())]
    Missing { yaml: PathBuf, split: String, path: PathBuf },
    #[error("`{split}` of {} has no pictures ({})", yaml.display(), IMAGE_EXTENSIONS.join(", "))]
    Empty { yaml: PathBuf, split: String },
}

/// A data set description: where it lies, its class names and its splits.
#[derive(Debug, Clone)]
pub struct DataSet {
    yaml: PathBuf,
    root: PathBuf,
    names: Vec<String>,
    document: Document,
}

#[derive(Debug, Clone, Deserialize)]
struct Document {
    path: Option<PathBuf>,
    train: Option<OneOrMany>,
    val: Option<OneOrMany>,
    test: Option<OneOrMany>,
    names: Option<Value>,
    nc: Option<usize>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(PathBuf),
    Many(Vec<PathBuf>),
}

impl DataSet {
    /// Reads the description at `yaml`. Its `path` is relative to the folder it lies in.
    pub fn open(yaml: &Path) -> Result<Self, DataSetError> {
        let text = fs::read_to_string(yaml).map_err(|source| read_error(yaml, source))?;
        let refuse = |reason: String| DataSetError::Document { path: yaml.to_owned(), reason };
        let document: Document = serde_yaml::from_str(&text).map_err(|e| refuse(e.to_string()))?;
        let names = class_names(&document).map_err(refuse)?;
        let here = yaml.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let root = here.join(document.path.as_deref().unwrap_or(Path::new(".")));
        let root = fs::canonicalize(&root).map_err(|source| read_error(&root, source))?;
        Ok(Self { yaml: yaml.to_owned(), root, names, document })
    }

    /// The absolute folder that every picture and label lies in.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Class names in the order of the class indices.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The pictures of `split` (`train`, `val` or `test`), relative to the root, sorted, each once.
    pub fn images(&self, split: &str) -> Result<Vec<PathBuf>, DataSetError> {
        let entries = match split {
            "train" => &self.document.train,
            "val" => &self.document.val,
            "test" => &self.document.test,
            _ => &None,
        };
        let entries = match entries {
            Some(OneOrMany::One(path)) => std::slice::from_ref(path),
            Some(OneOrMany::Many(paths)) => paths,
            None => {
                return Err(DataSetError::NoSplit { path: self.yaml.clone(), split: split.into() });
            }
        };
        let mut images = Vec::new();
        for entry in entries {
            self.collect(split, entry, &mut images)?;
        }
        images.sort();
        images.dedup();
        if images.is_empty() {
            return Err(DataSetError::Empty { yaml: self.yaml.clone(), split: split.into() });
        }
        Ok(images)
    }

    fn collect(
        &self,
        split: &str,
        entry: &Path,
        images: &mut Vec<PathBuf>,
    ) -> Result<(), DataSetError> {
        let place = self.locate(split, entry)?;
        if place.is_dir() {
            let mut found = Vec::new();
            walk(&place, &mut found).map_err(|source| read_error(&place, source))?;
            for path in found.iter().filter(|p| is_image(p)) {
                images.push(self.relative(split, path)?);
            }
            return Ok(());
        }
        if place.extension().is_some_and(|e| e == "txt") {
            let list = fs::read_to_string(&place).map_err(|source| read_error(&place, source))?;
            let folder = place.parent().unwrap_or(&self.root);
            for line in list.lines().map(str::trim).filter(|l| !l.is_empty()) {
                let base = if line.starts_with("./") { folder } else { &self.root };
                images.push(self.relative(split, &base.join(line))?);
            }
            return Ok(());
        }
        images.push(self.relative(split, &place)?);
        Ok(())
    }

    /// Where `entry` lies. Exported sets often say `../train/images` beside the very folder
    /// `train`: when the path as written does not exist, it is tried without the leading `..`.
    fn locate(&self, split: &str, entry: &Path) -> Result<PathBuf, DataSetError> {
        let written = self.root.join(entry);
        if written.exists() {
            return Ok(written);
        }
        let inside: PathBuf =
            entry.components().skip_while(|c| matches!(c, Component::ParentDir)).collect();
        let mended = self.root.join(inside);
        if mended.exists() && !entry.is_absolute() {
            return Ok(mended);
        }
        Err(DataSetError::Missing { yaml: self.yaml.clone(), split: split.into(), path: written })
    }

    /// `path` relative to the root, resolving `.` and `..` by name.
    fn relative(&self, split: &str, path: &Path) -> Result<PathBuf, DataSetError> {
        normalise(path).strip_prefix(&self.root).map(Path::to_owned).map_err(|_| {
            DataSetError::OutsideRoot {
                yaml: self.yaml.clone(),
                split: split.into(),
                path: path.to_owned(),
                root: self.root.clone(),
            }
        })
    }
}

/// The label file of a picture: the last folder called `images` becomes `labels`, the ending `txt`.
pub fn label_path(image: &Path) -> PathBuf {
    let mut parts: Vec<_> = image.components().map(|c| c.as_os_str().to_owned()).collect();
    let folders = parts.len().saturating_sub(1);
    if let Some(i) = parts[..folders].iter().rposition(|p| p == "images") {
        parts[i] = "labels".into();
    }
    parts.iter().collect::<PathBuf>().with_extension("txt")
}

/// Whether the file name ends like a picture that can be read.
pub fn is_image(path: &Path) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| IMAGE_EXTENSIONS.contains(&e.to_ascii_lowercase().as_str()))
}

fn read_error(path: &Path, source: io::Error) -> DataSetError {
    DataSetError::Read { path: path.to_owned(), source }
}

fn normalise(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// Names as a list or as a map from index to name, checked against `nc` where that is given.
fn class_names(document: &Document) -> Result<Vec<String>, String> {
    let names = match &document.names {
        Some(Value::Sequence(list)) => list.iter().map(class_name).collect::<Result<_, _>>()?,
        Some(Value::Mapping(map)) => names_by_index(map.iter())?,
        Some(_) => return Err("`names` is neither a list nor a map".into()),
        None => {
            let nc = document.nc.ok_or("it has neither `names` nor `nc`")?;
            (0..nc).map(|i| i.to_string()).collect()
        }
    };
    match document.nc {
        Some(nc) if nc != names.len() => {
            Err(format!("`nc` is {nc}, but there are {} names", names.len()))
        }
        _ if names.is_empty() => Err("it has no classes".into()),
        _ => Ok(names),
    }
}

fn names_by_index<'a>(
    entries: impl Iterator<Item = (&'a Value, &'a Value)>,
) -> Result<Vec<String>, String> {
    let mut pairs = Vec::new();
    for (key, value) in entries {
        let index =
            key.as_u64().ok_or_else(|| format!("class index {key:?} is not a whole number"))?;
        pairs.push((index, class_name(value)?));
    }
    pairs.sort();
    for (expected, (index, _)) in pairs.iter().enumerate() {
        if *index != expected as u64 {
            return Err(format!(
                "class indices must run from 0 without a gap; {expected} is missing"
            ));
        }
    }
    Ok(pairs.into_iter().map(|(_, name)| name).collect())
}

fn class_name(value: &Value) -> Result<String, String> {
    match value {
        Value::String(s) => Ok(s.clone()),
        Value::Number(n) => Ok(n.to_string()),
        Value::Bool(b) => Ok(b.to_string()),
        _ => Err(format!("class name {value:?} is not text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(yaml: &str, files: &[&str]) -> (tempfile::TempDir, Result<DataSet, DataSetError>) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let path = dir.path().join("data.yaml");
        fs::write(&path, yaml).unwrap();
        let opened = DataSet::open(&path);
        (dir, opened)
    }

    #[test]
    fn lists_pictures_sorted_and_once() {
        let (_dir, set) = set(
            "path: .\ntrain: [images/b, images/a, images/a/1.jpg]\nnames: {1: y, 0: x}\n",
            &["images/a/2.PNG", "images/a/1.jpg", "images/b/0.jpg", "images/b/notes.md"],
        );
        let set = set.unwrap();
        assert_eq!(set.names(), ["x", "y"]);
        let images = set.images("train").unwrap();
        assert_eq!(
            images,
            ["images/a/1.jpg", "images/a/2.PNG", "images/b/0.jpg"].map(PathBuf::from)
        );
        assert!(matches!(set.images("test"), Err(DataSetError::NoSplit { .. })));
    }

    #[test]
    fn takes_lists_and_exported_paths_and_refuses_outsiders() {
        let files = ["train/images/1.jpg", "list.txt"];
        let (dir, set) =
            set("train: ../train/images\nval: list.txt\ntest: /etc\nnames: [x]\n", &files);
        let set = set.unwrap();
        assert_eq!(set.images("train").unwrap(), [PathBuf::from("train/images/1.jpg")]);
        fs::write(dir.path().join("list.txt"), "./train/images/1.jpg\r\n\n").unwrap();
        assert_eq!(set.images("val").unwrap(), [PathBuf::from("train/images/1.jpg")]);
        fs::write(dir.path().join("list.txt"), "../../etc/x.jpg\n").unwrap();
        assert!(matches!(set.images("val"), Err(DataSetError::OutsideRoot { .. })));
    }

    #[test]
    fn refuses_descriptions_that_contradict_themselves() {
        for (yaml, reason) in [
            ("names: {0: a, 2: b}", "1 is missing"),
            ("names: [a]\nnc: 2", "`nc` is 2, but there are 1 names"),
            ("train: x", "neither `names` nor `nc`"),
            ("names: []", "no classes"),
        ] {
            let (_dir, set) = set(yaml, &[]);
            let message = set.unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn the_last_images_folder_becomes_labels() {
        for (image, label) in [
            ("images/train/1.jpg", "labels/train/1.txt"),
            ("images/images/1.tar.png", "images/labels/1.tar.txt"),
            ("flat/images.jpg", "flat/images.txt"),
        ] {
            assert_eq!(label_path(Path::new(image)), PathBuf::from(label));
        }
    }
}
