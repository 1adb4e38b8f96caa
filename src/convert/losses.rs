//! What the new form cannot hold, taken out and counted.

use ybox_labels::ExactObject;
use ybox_labels::write::yolo::outline_box;
use ybox_spec::dataset::Format;

use super::{Request, Split};
use crate::contents::Content;

/// Counts of objects.
#[derive(Debug, Default, PartialEq)]
pub struct Losses {
    /// Marked not to count.
    ignored: u64,
    /// Of which only the box is kept.
    outlines: u64,
    /// Whose box is another in the new form.
    boxes: u64,
    /// By how many pixels an edge of a box moves, at most.
    pixels: f64,
}

impl Losses {
    /// Takes out of `splits` what the form of `request` does not hold, or is not to.
    pub fn take(splits: &mut [Split], request: &Request) -> Self {
        let mut losses = Self::default();
        for content in splits.iter_mut().flat_map(|split| &mut split.contents) {
            losses.ignored += content.labels.ignored;
            losses.of_picture(content, request);
        }
        losses
    }

    fn of_picture(&mut self, content: &mut Content, request: &Request) {
        let (width, height) = content.size.unwrap_or((0, 0));
        let size = [f64::from(width), f64::from(height)];
        for object in content.labels.objects.iter_mut().filter(|o| !o.polygon.is_empty()) {
            match request.to {
                _ if request.boxes_only => object.polygon.clear(),
                Format::Yolo => self.of_yolo(object, size),
                Format::Voc => self.drop_outline(object),
                Format::Coco => {}
            }
        }
    }

    /// A line has an outline or a box, and the bounds of the outline become the box.
    fn of_yolo(&mut self, object: &mut ExactObject, size: [f64; 2]) {
        let Some(corners) = outline_box(&object.polygon) else { return self.drop_outline(object) };
        let bounds = ExactObject { class: object.class, corners, polygon: Vec::new() };
        if bounds.rounded() == object.rounded() {
            return;
        }
        self.boxes += 1;
        for (i, edge) in corners.iter().enumerate() {
            self.pixels = self.pixels.max((edge - object.corners[i]).abs() * size[i % 2]);
        }
    }

    fn drop_outline(&mut self, object: &mut ExactObject) {
        object.polygon.clear();
        self.outlines += 1;
    }

    /// One sentence for each kind.
    pub fn notes(&self, to: Format) -> Vec<String> {
        let Self { ignored, outlines, boxes, pixels } = self;
        let why = match to {
            Format::Voc => "Pascal VOC has no outlines",
            _ => "they enclose nothing",
        };
        let ignored = (*ignored > 0)
            .then(|| format!("objects marked `iscrowd` or `difficult`, left out: {ignored}"));
        let outlines =
            (*outlines > 0).then(|| format!("outlines left out, since {why}: {outlines}"));
        let boxes = (*boxes > 0).then(|| {
            format!(
                "boxes that become the bounds of their outlines, as YOLO has it: {boxes}; an edge \
                 moves by up to {pixels:.2} pixels (--boxes-only keeps the boxes)"
            )
        });
        [ignored, outlines, boxes].into_iter().flatten().collect()
    }
}
