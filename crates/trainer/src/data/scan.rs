//! One split of a manifest: every file is read once and checked against its digest, every picture
//! decoded, every label parsed. The manifest, not the folder, says what there is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ybox_labels::Labels;
use ybox_picture::{DecodeError, decode, resize_to_fit};
use ybox_spec::Digest;
use ybox_spec::dataset::is_image;
use ybox_spec::manifest::{Entry, Manifest};

use super::annotations::{self, Annotation};
use super::cache::{Content, PictureCache};
use super::disk::{DiskCache, Kept};
use super::ordered::Ordered;
use super::{Code, DataError, Object, Picture, Polygon, Problem, Size};

#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// Number of classes.
    pub classes: u32,
    /// Their names, for labels that name them; without, every name is taken for class 0.
    pub names: Option<Arc<[String]>>,
    /// Pictures are kept with this longer side.
    pub imgsz: u32,
    /// Threads.
    pub workers: usize,
    /// Budget of pictures kept in memory in bytes; see [`super::cache`].
    pub cache_bytes: u64,
    /// Where pictures are kept on the disk.
    pub disk: Option<Arc<DiskCache>>,
}

/// A usable picture and its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Relative to the data set's root.
    pub path: String,
    /// Size of the upright original in pixels; 0 where nothing was decoded yet ([`sources`]).
    pub width: u32,
    pub height: u32,
    pub objects: Vec<Object>,
    /// As many as objects.
    pub polygons: Vec<Polygon>,
    sha256: Digest,
}

/// The usable pictures of a split, in manifest order.
pub struct Split {
    pub samples: Vec<Sample>,
    pub problems: Vec<Problem>,
    root: PathBuf,
    imgsz: u32,
    cache: PictureCache,
    disk: Option<Arc<DiskCache>>,
}

impl Split {
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Longer side of the pictures that [`Split::picture`] gives.
    pub fn imgsz(&self) -> u32 {
        self.imgsz
    }

    /// Labelled objects in all pictures.
    pub fn objects(&self) -> usize {
        self.samples.iter().map(|s| s.objects.len()).sum()
    }

    /// Whether any object has a polygon.
    pub fn has_polygons(&self) -> bool {
        self.samples.iter().flat_map(|s| &s.polygons).any(|polygon| !polygon.is_empty())
    }

    /// Labelled objects by class, for classes below `classes`.
    pub fn objects_by_class(&self, classes: usize) -> Vec<u64> {
        let mut counts = vec![0; classes];
        let objects = self.samples.iter().flat_map(|s| &s.objects);
        objects.for_each(|object| counts[object.class as usize] += 1);
        counts
    }

    /// Drops the objects of classes that are not in `classes`.
    pub fn keep_classes(&mut self, classes: &[u32]) {
        for sample in &mut self.samples {
            let labelled = sample.objects.drain(..).zip(sample.polygons.drain(..));
            (sample.objects, sample.polygons) =
                labelled.filter(|(object, _)| classes.contains(&object.class)).collect();
        }
    }

    /// Makes every object one of class 0.
    pub fn merge_classes(&mut self) {
        self.samples.iter_mut().flat_map(|s| &mut s.objects).for_each(|object| object.class = 0);
    }

    /// Of the upright original of sample `index`.
    pub fn size(&self, index: usize) -> Size {
        let sample = &self.samples[index];
        Size { width: sample.width, height: sample.height }
    }

    /// Sample `index`, scaled so that its longer side is `imgsz`.
    pub fn picture(&self, index: usize) -> Result<Arc<Picture>, DataError> {
        if let Some(kept) = self.cache.get(index) {
            return Ok(kept);
        }
        let file = self.samples[index].sha256;
        if let Some(kept) = self.disk.as_ref().and_then(|disk| disk.get(file, self.imgsz)) {
            return Ok(Arc::new(kept.picture));
        }
        let fitted = fitted(self.original(index)?, file, self.imgsz, self.disk.as_deref());
        Ok(Arc::new(fitted.picture))
    }

    pub fn kept_in_memory(&self) -> Content {
        self.cache.content()
    }

    /// Sample `index` in its own size, decoded afresh.
    pub fn original(&self, index: usize) -> Result<Picture, DataError> {
        let sample = &self.samples[index];
        let bytes = read_checked(&self.root, &sample.path, sample.sha256)?;
        decode(&bytes)
            .map_err(|source| DataError::Decode { path: self.root.join(&sample.path), source })
    }
}

/// Reads split `split` of the data set at `root`. `progress` hears how many of how many pictures
/// are done. Fails on files that can't be read or have changed, and when no picture is usable.
pub fn scan(
    manifest: &Manifest,
    root: &Path,
    split: &str,
    options: &ScanOptions,
    mut progress: impl FnMut(u64, u64),
) -> Result<Split, DataError> {
    let annotated = annotations::find(manifest, root, split)?;
    let found = scan_all(annotated.pictures, root, options)?;
    let total = found.len() as u64;
    let mut result = Split {
        samples: Vec::with_capacity(found.len()),
        problems: annotated.problems,
        root: root.to_owned(),
        imgsz: options.imgsz,
        cache: PictureCache::new(options.cache_bytes),
        disk: options.disk.clone(),
    };
    let mut ignored = 0;
    for (done, scanned) in (1..).zip(found) {
        let scanned = scanned?;
        ignored += scanned.ignored;
        result.problems.extend(scanned.problems);
        if let Some((sample, picture)) = scanned.usable {
            result.samples.push(sample);
            result.cache.push(picture);
        }
        progress(done, total);
    }
    if ignored > 0 {
        result.problems.push(not_used(split, ignored));
    }
    if result.is_empty() {
        return Err(DataError::Empty { split: split.into(), problems: result.problems });
    }
    Ok(result)
}

/// Lists the pictures of `split` without reading them or any labels: for prediction.
pub fn sources(
    manifest: &Manifest,
    root: &Path,
    split: &str,
    imgsz: u32,
) -> Result<Split, DataError> {
    let samples: Vec<_> = manifest
        .split(split)
        .filter(|entry| is_image(Path::new(&entry.path)))
        .map(|image| Sample {
            path: image.path.clone(),
            width: 0,
            height: 0,
            objects: Vec::new(),
            polygons: Vec::new(),
            sha256: image.sha256,
        })
        .collect();
    if samples.is_empty() {
        return Err(DataError::Empty { split: split.into(), problems: Vec::new() });
    }
    let (root, cache) = (root.to_owned(), PictureCache::new(0));
    Ok(Split { samples, problems: Vec::new(), root, imgsz, cache, disk: None })
}

fn not_used(split: &str, ignored: u64) -> Problem {
    Problem {
        code: Code::Ignored,
        file: split.to_owned(),
        line: None,
        message: format!("objects marked `iscrowd` or `difficult`, not used: {ignored}"),
    }
}

/// What became of one picture.
struct Scanned {
    usable: Option<(Sample, Picture)>,
    problems: Vec<Problem>,
    ignored: u64,
}

fn scan_all(
    pictures: Vec<(Entry, Annotation)>,
    root: &Path,
    options: &ScanOptions,
) -> Result<Ordered<Scanned>, DataError> {
    let (root, options) = (root.to_owned(), options.clone());
    Ordered::start(pictures.len(), options.workers, 2 * options.workers, move |i| {
        let (image, annotation) = &pictures[i];
        scan_one(&root, image, annotation, &options)
    })
}

fn scan_one(
    root: &Path,
    image: &Entry,
    annotation: &Annotation,
    options: &ScanOptions,
) -> Result<Scanned, DataError> {
    let unscaled = annotation.read(root, image, options)?;
    let bytes = read_checked(root, &image.path, image.sha256)?;
    let Kept { picture, original: [width, height] } = match decode_or_find(&bytes, image, options) {
        Ok(kept) => kept,
        Err(error) => {
            let mut problems = unscaled.into_problems();
            problems.insert(0, unreadable(&image.path, &error));
            return Ok(Scanned { usable: None, problems, ignored: 0 });
        }
    };
    let labels = Labels::from(unscaled.scale(width, height));
    let usable = labels.usable.then(|| {
        let sample = Sample {
            path: image.path.clone(),
            width,
            height,
            objects: labels.objects,
            polygons: labels.polygons,
            sha256: image.sha256,
        };
        (sample, picture)
    });
    Ok(Scanned { usable, problems: labels.problems, ignored: labels.ignored })
}

fn decode_or_find(bytes: &[u8], image: &Entry, options: &ScanOptions) -> Result<Kept, DecodeError> {
    let disk = options.disk.as_deref();
    let found = disk.and_then(|disk| disk.get(image.sha256, options.imgsz));
    match found {
        Some(kept) => Ok(kept),
        None => Ok(fitted(decode(bytes)?, image.sha256, options.imgsz, disk)),
    }
}

/// Scales `original`, decoded from the file of digest `file`, and keeps the outcome on the disk.
fn fitted(original: Picture, file: Digest, side: u32, disk: Option<&DiskCache>) -> Kept {
    let size = [original.width(), original.height()];
    let picture = resize_to_fit(original, side);
    if let Some(disk) = disk {
        disk.put(file, side, &picture, size);
    }
    Kept { picture, original: size }
}

fn unreadable(path: &str, error: &DecodeError) -> Problem {
    Problem {
        code: Code::PictureUnreadable,
        file: path.to_owned(),
        line: None,
        message: format!("the picture cannot be decoded: {error}; it is left out"),
    }
}

/// The content of a file, which must be what was hashed.
pub fn read_checked(root: &Path, path: &str, sha256: Digest) -> Result<Vec<u8>, DataError> {
    let path = root.join(path);
    let bytes = fs::read(&path).map_err(|source| DataError::Read { path: path.clone(), source })?;
    if Digest::of(&bytes) != sha256 {
        return Err(DataError::Changed { path });
    }
    Ok(bytes)
}
