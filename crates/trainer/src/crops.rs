//! What was found, cut out of its picture: `crops/<class>/<picture>.jpg`. Each box is widened a
//! little, as users of other YOLO tools know their crops.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::data::Picture;
use crate::error::TrainerError;
use crate::eval::Detection;
use crate::folders::make_folder_of;

/// Sides of a crop: those of the box times this, and so many pixels more.
const GAIN: f32 = 1.02;
const MARGIN: f32 = 10.0;

/// Writes crops, each under a name of its own.
pub struct Crops {
    folder: PathBuf,
    /// Folder names, by class.
    classes: Vec<String>,
    taken: HashSet<PathBuf>,
}

impl Crops {
    pub fn new(out: &Path, names: &[String]) -> Self {
        let classes = names.iter().map(|name| folder_name(name)).collect();
        Self { folder: out.join("crops"), classes, taken: HashSet::new() }
    }

    /// Cuts what was `found` out of `picture`, the one at `path`.
    pub fn save(
        &mut self,
        path: &str,
        picture: &Picture,
        found: &[Detection],
    ) -> Result<(), TrainerError> {
        for detection in found {
            let name = self.name(path, detection.class);
            let target = self.folder.join(name);
            make_folder_of(&target)?;
            ybox_picture::save(&picture.crop(area(detection.bbox, picture)), &target)?;
        }
        Ok(())
    }

    /// The first free name: `a.jpg`, then `a2.jpg`, `a3.jpg`.
    fn name(&mut self, path: &str, class: u32) -> PathBuf {
        let stem = Path::new(path).with_extension("");
        let stem = Path::new(&self.classes[class as usize]).join(stem).into_os_string();
        let numbered = (1..).map(|number: u32| {
            let mut name = stem.clone();
            if number > 1 {
                name.push(number.to_string());
            }
            name.push(".jpg");
            PathBuf::from(name)
        });
        let free = numbered.into_iter().find(|name| self.taken.insert(name.clone()));
        free.expect("there are more numbers than crops")
    }
}

/// Left, top, right, bottom of the crop for a box: whole pixels, at least one, in the picture.
fn area([left, top, right, bottom]: [f32; 4], picture: &Picture) -> [u32; 4] {
    let along = |low: f32, high: f32, end: u32| {
        let (centre, half) = ((low + high) / 2.0, ((high - low) * GAIN + MARGIN) / 2.0);
        let inside = |value: f32| value.clamp(0.0, end as f32);
        [inside(centre - half).floor() as u32, inside(centre + half).ceil() as u32]
    };
    let ([left, right], [top, bottom]) =
        (along(left, right, picture.width()), along(top, bottom, picture.height()));
    [left, top, right, bottom]
}

/// A class name as the name of a folder: one component, that leads nowhere else.
fn folder_name(class: &str) -> String {
    let name = class.replace(['/', '\\', '\0'], "_");
    match name.as_str() {
        "" | "." | ".." => "_".into(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_are_wider_than_their_boxes_and_stay_in_the_picture() {
        let picture = Picture::filled(200, 100, [0; 3]);
        assert_eq!(area([50.0, 20.0, 100.0, 70.0], &picture), [44, 14, 106, 76]);
        assert_eq!(area([-3.0, 98.0, 203.0, 100.0], &picture), [0, 92, 200, 100]);
        let pixel = Picture::filled(1, 1, [0; 3]);
        assert_eq!(area([1.0, 0.0, 1.0, 0.0], &pixel), [0, 0, 1, 1]);
    }

    #[test]
    fn every_crop_has_a_name_of_its_own() {
        let names = ["a", "b/c", ".."].map(str::to_owned);
        let mut crops = Crops::new(Path::new("out"), &names);
        let paths = [("in/1.jpg", 0), ("in/1.jpg", 0), ("in/12.png", 0), ("1.jpg", 1), ("1", 2)];
        let given = paths.map(|(path, class)| crops.name(path, class));
        let expected = ["a/in/1.jpg", "a/in/12.jpg", "a/in/122.jpg", "b_c/1.jpg", "_/1.jpg"];
        assert_eq!(given, expected.map(PathBuf::from));
    }
}
