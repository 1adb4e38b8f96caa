//! Sheets of sample pictures with their boxes and class names, for a person to see whether labels
//! mean what they should.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ybox_labels::ExactObject;
use ybox_picture::{
    LabelledBox, PER_SHEET, Picture, SaveError, TILE_SIDE, decode, draw_boxes, resize_to_fit, sheet,
};
use ybox_spec::dataset::DataSet;

use crate::contents::Content;
use crate::parallel::in_parallel;
use crate::ui::Explain;

/// Sheets of a split, at most.
const SHEETS: usize = 3;

#[derive(Debug, thiserror::Error)]
pub enum SamplesError {
    #[error("cannot make {}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Save(#[from] SaveError),
}

impl Explain for SamplesError {
    fn hint(&self) -> Option<String> {
        Some("give --pictures a folder that can be written to".into())
    }
}

/// Makes the folder for samples.
pub fn make_folder(folder: &Path) -> Result<(), SamplesError> {
    fs::create_dir_all(folder)
        .map_err(|source| SamplesError::Folder { path: folder.to_owned(), source })
}

/// Draws samples of `split`, spread evenly over its usable pictures, into `folder`. Returns the
/// files.
pub fn draw(
    set: &DataSet,
    split: &str,
    contents: &[Content],
    folder: &Path,
) -> Result<Vec<PathBuf>, SamplesError> {
    let usable: Vec<_> = contents.iter().filter(|c| c.size.is_some() && c.labels.usable).collect();
    let count = usable.len().min(SHEETS * PER_SHEET);
    let chosen: Vec<_> = (0..count).map(|i| usable[i * usable.len() / count]).collect();
    let sheets = chosen.chunks(PER_SHEET).enumerate().map(|(i, contents)| {
        let path = folder.join(format!("{split}{i}.jpg"));
        let tiles = in_parallel(contents.to_vec(), |content: &Content| tile(set, content));
        ybox_picture::save(&sheet(&tiles.into_iter().flatten().collect::<Vec<_>>()), &path)?;
        Ok(path)
    });
    sheets.collect()
}

/// None where the picture is gone since it was checked.
fn tile(set: &DataSet, content: &Content) -> Option<Picture> {
    let bytes = fs::read(set.root().join(&content.path)).ok()?;
    let mut picture = resize_to_fit(decode(&bytes).ok()?, TILE_SIDE);
    let size = [picture.width(), picture.height()].map(f64::from);
    let labelled = |object: &ExactObject| LabelledBox {
        class: object.class,
        corners: std::array::from_fn(|i| (object.corners[i] * size[i % 2]) as f32),
        label: set.names()[object.class as usize].clone(),
    };
    draw_boxes(&mut picture, &content.labels.objects.iter().map(labelled).collect::<Vec<_>>());
    Some(picture)
}
