//! Data sets for the tests: drawn ones in a temporary folder, and the blood cells in `shared`.
#![allow(clippy::unwrap_used, dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use ybox_spec::Digest;
use ybox_spec::dataset::{DataSet, label_path};
use ybox_spec::manifest::{Entry, Manifest};
use ytrain::data::{Picture, ScanOptions, Split, scan};

pub const OPTIONS: ScanOptions = ScanOptions {
    classes: 3,
    names: None,
    imgsz: 64,
    workers: 2,
    cache_bytes: 1 << 30,
    disk: None,
};

pub fn entry(root: &Path, split: &str, path: &str) -> Entry {
    let bytes = fs::read(root.join(path)).unwrap();
    let (size, sha256) = (bytes.len() as u64, Digest::of(&bytes));
    Entry { split: split.into(), path: path.into(), size, sha256 }
}

/// A data set with one split, `train`.
pub struct Drawn {
    pub dir: TempDir,
    entries: Vec<Entry>,
}

impl Drawn {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), entries: Vec::new() }
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Adds a file with arbitrary content.
    pub fn file(mut self, path: &str, bytes: &[u8]) -> Self {
        let place = self.root().join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, bytes).unwrap();
        self.entries.push(entry(self.root(), "train", path));
        self
    }

    /// Adds `images/<name>.png` and its label.
    pub fn picture(self, name: &str, picture: &Picture, label: &str) -> Self {
        let path = format!("images/{name}.png");
        fs::create_dir_all(self.root().join("images")).unwrap();
        ybox_picture::save(picture, &self.root().join(&path)).unwrap();
        let bytes = fs::read(self.root().join(&path)).unwrap();
        self.file(&path, &bytes).file(&format!("labels/{name}.txt"), label.as_bytes())
    }

    pub fn manifest(&self) -> Manifest {
        Manifest::new(self.entries.clone()).unwrap()
    }

    pub fn scan(&self, options: &ScanOptions) -> Arc<Split> {
        Arc::new(scan(&self.manifest(), self.root(), "train", options, |_, _| {}).unwrap())
    }
}

/// Pictures of several sizes with a soft pattern, each with two boxes.
pub fn patterned(count: usize) -> Drawn {
    (0..count).fold(Drawn::new(), |set, i| {
        let (width, height) = (40 + 9 * i as u32 % 50, 30 + 13 * i as u32 % 60);
        let mut picture = Picture::filled(width, height, [0; 3]);
        for y in 0..height {
            for x in 0..width {
                let rgb = [x * 3 + i as u32 * 20, y * 4, (x + y) * 2].map(|v| (v % 256) as u8);
                picture.set_pixel(x, y, rgb);
            }
        }
        let label = format!("{} 0.4 0.5 0.5 0.6\n{} 0.7 0.3 0.2 0.3\n", i % 3, (i + 1) % 3);
        set.picture(&format!("p{i:02}"), &picture, &label)
    })
}

/// The root of the blood cell set and a manifest of all its splits; none, with a note, where the
/// set is absent.
pub fn bccd() -> Option<(PathBuf, Manifest)> {
    let yaml = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/bccd/data.yaml");
    if !yaml.exists() {
        println!("skipped: {} is absent", yaml.display());
        return None;
    }
    let set = DataSet::open(&yaml).unwrap();
    let mut entries = Vec::new();
    for split in ["train", "val"] {
        for image in set.images(split).unwrap() {
            let label = label_path(&image);
            if set.root().join(&label).exists() {
                entries.push(entry(set.root(), split, label.to_str().unwrap()));
            }
            entries.push(entry(set.root(), split, image.to_str().unwrap()));
        }
    }
    Some((set.root().to_owned(), Manifest::new(entries).unwrap()))
}
