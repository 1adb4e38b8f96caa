//! A data set that ybox draws itself: coloured shapes on a noisy ground, with exact boxes, the same
//! bytes for the same seed. For demonstrations and tests where no real data is at hand.

mod draw;
mod random;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::ui::Explain;
use draw::{Canvas, Shape};
use random::Random;

/// What to draw.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub train: u32,
    pub val: u32,
    /// Side of the square pictures in pixels.
    pub size: u32,
    pub seed: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    #[error("{} exists and is not empty", .0.display())]
    NotEmpty(PathBuf),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot encode {}: {source}", path.display())]
    Encode { path: PathBuf, source: image::ImageError },
}

impl Explain for SynthError {
    fn hint(&self) -> Option<String> {
        matches!(self, Self::NotEmpty(_)).then(|| "name a new folder".into())
    }

    fn exit(&self) -> u8 {
        if matches!(self, Self::NotEmpty(_)) { 1 } else { 2 }
    }
}

/// Draws the data set into the new folder `target`; returns the path of its `data.yaml`.
pub fn write(plan: &Plan, target: &Path) -> Result<PathBuf, SynthError> {
    if fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(SynthError::NotEmpty(target.to_owned()));
    }
    for (split, count) in [("train", plan.train), ("val", plan.val)] {
        for kind in ["images", "labels"] {
            let folder = target.join(kind).join(split);
            fs::create_dir_all(&folder).map_err(write_error(&folder))?;
        }
        for index in 0..count {
            write_picture(plan, target, split, index)?;
        }
    }
    // The description comes last: where it stands, the set is whole.
    let description = target.join("data.yaml");
    let names: String =
        Shape::ALL.iter().enumerate().map(|(i, s)| format!("  {i}: {}\n", s.name())).collect();
    let text = format!("path: .\ntrain: images/train\nval: images/val\nnames:\n{names}");
    ybox_spec::files::write_atomic(&description, text.as_bytes())
        .map_err(write_error(&description))?;
    Ok(description)
}

fn write_picture(plan: &Plan, target: &Path, split: &str, index: u32) -> Result<(), SynthError> {
    let mut random = Random::new(plan.seed, &format!("{split}/{index}"));
    let mut canvas = Canvas::noisy(plan.size, &mut random);
    let boxes = canvas.draw_shapes(&mut random);
    let picture = target.join("images").join(split).join(format!("{index:05}.png"));
    canvas
        .into_image()
        .save(&picture)
        .map_err(|source| SynthError::Encode { path: picture.clone(), source })?;
    let label = target.join("labels").join(split).join(format!("{index:05}.txt"));
    let lines: String = boxes.iter().map(|b| b.label_line(plan.size) + "\n").collect();
    fs::write(&label, lines).map_err(write_error(&label))
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> SynthError {
    move |source| SynthError::Write { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use ybox_spec::Digest;
    use ybox_spec::dataset::DataSet;

    use super::*;

    const PLAN: Plan = Plan { train: 3, val: 2, size: 96, seed: 7 };

    fn bytes_of(folder: &Path) -> Vec<u8> {
        let set = DataSet::open(&folder.join("data.yaml")).unwrap();
        let images = ["train", "val"].map(|split| set.images(split).unwrap()).concat();
        images
            .iter()
            .flat_map(|image| {
                let label = ybox_spec::dataset::label_path(image);
                [fs::read(folder.join(image)).unwrap(), fs::read(folder.join(label)).unwrap()]
                    .concat()
            })
            .collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let folders = ["a", "b", "c"].map(|name| dir.path().join(name));
        write(&PLAN, &folders[0]).unwrap();
        write(&PLAN, &folders[1]).unwrap();
        write(&Plan { seed: 8, ..PLAN }, &folders[2]).unwrap();
        let [a, b, c] = folders.each_ref().map(|f| Digest::of(&bytes_of(f)));
        assert_eq!(a, b);
        assert_ne!(a, c);
    }

    #[test]
    fn boxes_enclose_exactly_what_was_drawn() {
        let mut random = Random::new(1, "x");
        let mut canvas = Canvas::plain(64);
        for drawn in canvas.draw_shapes(&mut random) {
            assert!(drawn.width() >= 8 && drawn.height() >= 8, "{drawn:?}");
            assert!(drawn.right < 64 && drawn.bottom < 64, "{drawn:?}");
        }
    }

    #[test]
    fn refuses_a_folder_with_something_in_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("precious"), "").unwrap();
        assert!(matches!(write(&PLAN, dir.path()), Err(SynthError::NotEmpty(_))));
    }
}
