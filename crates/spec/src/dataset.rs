//! Reading a data set's YAML file and finding its pictures and labels. What stands inside a label
//! is for `ybox-labels`; what the files hash to is `manifest`'s.

pub mod coco;
mod layout;
mod names;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_yaml::Value;

use names::class_names;

pub use layout::{Format, VOC_ANNOTATIONS, VOC_PICTURES, VOC_SETS, label_path, voc_label_path};

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
    #[error("{} cannot be used: {reason}", path.display())]
    Annotations { path: PathBuf, reason: String },
    #[error("{} lists {} pictures that `{split}` of {} does not have, the first {}", annotations.display(), missing.len(), yaml.display(), missing[0])]
    NotThere { yaml: PathBuf, split: String, annotations: PathBuf, missing: Vec<String> },
    #[error("line {line} of {} is not the name of one picture: {text:?}", path.display())]
    ImageSet { path: PathBuf, line: usize, text: String },
}

/// A data set description: where it lies, its class names and its splits.
#[derive(Debug, Clone)]
pub struct DataSet {
    yaml: PathBuf,
    root: PathBuf,
    names: Vec<String>,
    document: Document,
    format: Format,
    /// By split, of a COCO set.
    annotations: BTreeMap<String, Annotations>,
}

/// The annotation file of a split.
#[derive(Debug, Clone)]
struct Annotations {
    /// Relative to the root.
    path: PathBuf,
    index: coco::Index,
}

#[derive(Debug, Clone, Deserialize)]
struct Document {
    path: Option<PathBuf>,
    format: Option<Format>,
    annotations: Option<BTreeMap<String, PathBuf>>,
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
        let format = format(&document).map_err(refuse)?;
        let here = yaml.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let root = here.join(document.path.as_deref().unwrap_or(Path::new(".")));
        let root = fs::canonicalize(&root).map_err(|source| read_error(&root, source))?;
        let annotations = BTreeMap::new();
        let yaml = yaml.to_owned();
        let mut set = Self { yaml, root, names: Vec::new(), document, format, annotations };
        if format == Format::Coco {
            set.read_annotations()?;
        }
        set.names = set.class_names().map_err(refuse)?;
        Ok(set)
    }

    fn read_annotations(&mut self) -> Result<(), DataSetError> {
        for (split, path) in self.document.annotations.clone().unwrap_or_default() {
            let place = self.locate(&split, &path)?;
            let bytes = fs::read(&place).map_err(|source| read_error(&place, source))?;
            let unusable = |reason| DataSetError::Annotations { path: place.clone(), reason };
            let index = coco::Index::parse(&bytes).map_err(unusable)?;
            let path = self.relative(&split, &place)?;
            self.annotations.insert(split, Annotations { path, index });
        }
        Ok(())
    }

    /// Names of the YAML file, of the annotation files, or of both where they agree.
    fn class_names(&self) -> Result<Vec<String>, String> {
        let document = &self.document;
        let mut known = match document.names.is_none() && self.format == Format::Coco {
            true => None,
            false => Some(("the YAML file".to_owned(), class_names(document)?)),
        };
        for annotations in self.annotations.values() {
            let names = annotations.index.names();
            let place = annotations.path.display().to_string();
            match &known {
                Some((whose, theirs)) if *theirs != names => {
                    return Err(format!(
                        "the categories of {place} in the order of their ids are {names:?}, but \
                         {whose} has {theirs:?}"
                    ));
                }
                Some(_) => {}
                None => known = Some((place, names)),
            }
        }
        match known {
            Some((_, names)) if !names.is_empty() => Ok(names),
            _ => Err("it has no classes".into()),
        }
    }

    /// The form of its labels.
    pub fn format(&self) -> Format {
        self.format
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
        let mut images = Vec::new();
        for entry in self.entries(split)? {
            match self.format {
                Format::Voc => self.collect_voc(split, entry, &mut images)?,
                Format::Yolo | Format::Coco => self.collect(split, entry, &mut images)?,
            }
        }
        images.sort();
        images.dedup();
        if self.format == Format::Coco {
            images = self.annotated(split, images)?;
        }
        if images.is_empty() {
            return Err(DataSetError::Empty { yaml: self.yaml.clone(), split: split.into() });
        }
        Ok(images)
    }

    /// The files that say what is on `pictures` of `split`, relative to the root. In a YOLO set a
    /// picture may do without.
    pub fn label_files(
        &self,
        split: &str,
        pictures: &[PathBuf],
    ) -> Result<Vec<PathBuf>, DataSetError> {
        Ok(match self.format {
            Format::Yolo => pictures.iter().map(|p| label_path(p)).collect(),
            Format::Voc => pictures.iter().map(|p| voc_label_path(p)).collect(),
            Format::Coco => vec![self.annotations_of(split)?.path.clone()],
        })
    }

    /// The splits that it describes, of `train`, `val` and `test`.
    pub fn splits(&self) -> impl Iterator<Item = &'static str> {
        ["train", "val", "test"].into_iter().filter(|split| self.entries(split).is_ok())
    }

    fn entries(&self, split: &str) -> Result<&[PathBuf], DataSetError> {
        let entries = match split {
            "train" => &self.document.train,
            "val" => &self.document.val,
            "test" => &self.document.test,
            _ => &None,
        };
        match entries {
            Some(OneOrMany::One(path)) => Ok(std::slice::from_ref(path)),
            Some(OneOrMany::Many(paths)) => Ok(paths),
            None => Err(self.no_split(split)),
        }
    }

    fn no_split(&self, split: &str) -> DataSetError {
        DataSetError::NoSplit { path: self.yaml.clone(), split: split.into() }
    }

    fn annotations_of(&self, split: &str) -> Result<&Annotations, DataSetError> {
        self.annotations.get(split).ok_or_else(|| {
            let reason = format!("`annotations` has no `{split}`");
            DataSetError::Document { path: self.yaml.clone(), reason }
        })
    }

    /// Those of `found` that the annotation file of `split` lists; all that it lists must be there.
    fn annotated(&self, split: &str, found: Vec<PathBuf>) -> Result<Vec<PathBuf>, DataSetError> {
        let annotations = self.annotations_of(split)?;
        let paths: Vec<_> = found.iter().map(|p| p.to_string_lossy()).collect();
        let paths: Vec<_> = paths.iter().map(AsRef::as_ref).collect();
        let listed = &annotations.index.images;
        let names: Vec<_> = listed.iter().map(|image| image.file_name.as_str()).collect();
        let path = self.root.join(&annotations.path);
        let matched = coco::match_names(&paths, &names)
            .map_err(|reason| DataSetError::Annotations { path: path.clone(), reason })?;
        let mut missing = vec![true; names.len()];
        matched.iter().flatten().for_each(|i| missing[*i] = false);
        let missing: Vec<_> =
            names.iter().zip(missing).filter(|(_, m)| *m).map(|(n, _)| n.to_string()).collect();
        if !missing.is_empty() {
            let (yaml, split) = (self.yaml.clone(), split.to_owned());
            return Err(DataSetError::NotThere { yaml, split, annotations: path, missing });
        }
        let kept = found.into_iter().zip(matched).filter(|(_, matched)| matched.is_some());
        Ok(kept.map(|(path, _)| path).collect())
    }

    /// The pictures of a Pascal VOC image set. One that is not there stands as `.jpg`.
    fn collect_voc(
        &self,
        split: &str,
        name: &Path,
        images: &mut Vec<PathBuf>,
    ) -> Result<(), DataSetError> {
        let path = self.root.join(VOC_SETS).join(format!("{}.txt", name.display()));
        if !path.exists() {
            let (yaml, split) = (self.yaml.clone(), split.into());
            return Err(DataSetError::Missing { yaml, split, path });
        }
        let text = fs::read_to_string(&path).map_err(|source| read_error(&path, source))?;
        for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let line = line.trim();
            if line.contains(char::is_whitespace) {
                let (path, line, text) = (path.clone(), i + 1, line.to_owned());
                return Err(DataSetError::ImageSet { path, line, text });
            }
            let base = self.root.join(VOC_PICTURES);
            let with = |ending: &&str| base.join(format!("{line}.{ending}"));
            let endings = IMAGE_EXTENSIONS.iter().chain(&["JPG", "JPEG", "PNG"]);
            let there = endings.map(&with).find(|place| place.exists());
            images.push(self.relative(split, &there.unwrap_or_else(|| with(&"jpg")))?);
        }
        Ok(())
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
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() || kind.is_symlink() && path.is_dir() {
            walk(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// The form of the labels, which the description must say unless it is YOLO's.
fn format(document: &Document) -> Result<Format, String> {
    match (document.format, &document.annotations) {
        (None | Some(Format::Coco), Some(files)) if !files.is_empty() => Ok(Format::Coco),
        (_, Some(_)) => {
            Err("`annotations` belong to `format: coco`, and name a file by split".into())
        }
        (Some(Format::Coco), None) => {
            Err("`format: coco` needs `annotations: {train: FILE.json, val: FILE.json}`".into())
        }
        (format, None) => Ok(format.unwrap_or(Format::Yolo)),
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

    const COCO: &str = r#"{"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [],
        "categories": [{"id": 3, "name": "b"}, {"id": 1, "name": "a"}]}"#;

    /// A COCO set whose pictures lie together, with one annotation file.
    fn coco(yaml: &str, annotations: &str) -> (tempfile::TempDir, Result<DataSet, DataSetError>) {
        let (dir, _) = set("names: [x]", &["images/1.jpg", "images/2.jpg", "coco.json"]);
        fs::write(dir.path().join("coco.json"), annotations).unwrap();
        fs::write(dir.path().join("data.yaml"), yaml).unwrap();
        let opened = DataSet::open(&dir.path().join("data.yaml"));
        (dir, opened)
    }

    #[test]
    fn a_coco_set_has_the_pictures_and_classes_of_its_annotation_file() {
        let yaml = "train: images\nannotations: {train: coco.json}\n";
        let (_dir, set) = coco(yaml, COCO);
        let set = set.unwrap();
        assert_eq!((set.format(), set.names()), (Format::Coco, &["a".into(), "b".into()][..]));
        let images = set.images("train").unwrap();
        assert_eq!(images, [PathBuf::from("images/1.jpg")]);
        assert_eq!(set.label_files("train", &images).unwrap(), [PathBuf::from("coco.json")]);
        let (_dir, set) = coco(yaml, &COCO.replace("1.jpg", "9.jpg"));
        let error = set.unwrap().images("train").unwrap_err();
        assert!(matches!(error, DataSetError::NotThere { .. }), "{error}");
        for (more, reason) in [
            ("names: [b, a]", r#"are ["a", "b"], but the YAML file has ["b", "a"]"#),
            ("format: voc", "`annotations` belong to `format: coco`"),
        ] {
            let (_dir, set) = coco(&format!("{yaml}{more}\n"), COCO);
            let message = set.unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn a_voc_set_follows_its_image_sets() {
        let files = ["JPEGImages/1.png", "JPEGImages/3.jpg", "ImageSets/Main/trainval.txt"];
        let (dir, set) = set("format: voc\ntrain: trainval\nval: val\nnames: [x]\n", &files);
        let set = set.unwrap();
        let list = dir.path().join("ImageSets/Main/trainval.txt");
        fs::write(&list, "1\n\n2\r\n").unwrap();
        let images = set.images("train").unwrap();
        assert_eq!(images, ["JPEGImages/1.png", "JPEGImages/2.jpg"].map(PathBuf::from));
        let labels = set.label_files("train", &images).unwrap();
        assert_eq!(labels, ["Annotations/1.xml", "Annotations/2.xml"].map(PathBuf::from));
        fs::write(&list, "1\n2 -1\n").unwrap();
        let error = set.images("train").unwrap_err();
        assert!(error.to_string().starts_with("line 2 of "), "{error}");
        assert!(matches!(set.images("val"), Err(DataSetError::Missing { .. })));
    }
}
