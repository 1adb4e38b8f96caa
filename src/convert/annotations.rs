//! COCO's annotation file of a split.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ybox_labels::write::coco::{Image, annotation, category, image};
use ybox_labels::{ImageId, category_ids};

use super::entry::Entry;
use crate::parallel::in_parallel;

/// Pictures whose objects are held as text at a time.
const AT_ONCE: usize = 4096;

/// Writes the file at `path`.
pub fn write(path: &Path, entries: &[Entry], names: &[String]) -> io::Result<()> {
    let (ids, categories) = (image_ids(entries), category_ids(names));
    let images: Vec<_> = entries
        .iter()
        .zip(ids)
        .map(|(entry, id)| {
            let (width, height) = entry.size;
            Image { id, file_name: &entry.name, width, height }
        })
        .collect();
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(b"{\"info\":{\"description\":\"converted by ybox\"},\n")?;
    list(&mut file, "images", images.iter().map(image))?;
    file.write_all(b",\n\"annotations\":[")?;
    let mut next = 1;
    for (entries, images) in entries.chunks(AT_ONCE).zip(images.chunks(AT_ONCE)) {
        let numbered = entries.iter().zip(images).map(|(entry, image)| {
            let first = next;
            next += entry.objects.len() as u64;
            (first, entry, image)
        });
        let texts = in_parallel(numbered.collect(), |(first, entry, image)| {
            of_picture(first, entry, image, &categories)
        });
        texts.iter().try_for_each(|text| file.write_all(text.as_bytes()))?;
    }
    file.write_all(b"],\n")?;
    let categories = categories.iter().zip(names).map(|(id, name)| category(*id, name));
    list(&mut file, "categories", categories)?;
    file.write_all(b"}\n")?;
    file.flush()
}

/// The annotations of a picture, a line each, the first of them number `first`.
fn of_picture(first: u64, entry: &Entry, image: &Image, categories: &[u64]) -> String {
    let lines = (first..).zip(entry.objects).map(|(id, object)| {
        let comma = if id == 1 { "" } else { "," };
        let category = categories[object.class as usize];
        format!("{comma}\n{}", annotation(id, category, image, object))
    });
    lines.collect()
}

fn list(
    file: &mut impl Write,
    name: &str,
    entries: impl Iterator<Item = String>,
) -> io::Result<()> {
    write!(file, "\"{name}\":[")?;
    for (i, entry) in entries.enumerate() {
        write!(file, "{}\n{entry}", if i == 0 { "" } else { "," })?;
    }
    file.write_all(b"]")
}

/// The numbers that all pictures are called by, or else 1, 2, 3, ...
fn image_ids(entries: &[Entry]) -> Vec<u64> {
    let number = |entry: &Entry| match ImageId::of(&entry.name) {
        ImageId::Number(number) if i64::try_from(number).is_ok() => Some(number),
        _ => None,
    };
    let numbers: Option<Vec<_>> = entries.iter().map(number).collect();
    numbers
        .filter(|numbers| numbers.iter().collect::<HashSet<_>>().len() == numbers.len())
        .unwrap_or_else(|| (1..=entries.len() as u64).collect())
}
