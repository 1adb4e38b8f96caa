//! Sheets of sample pictures with their boxes: batches as the network was trained on them, and
//! validation pictures with what is there and with what was found.

use ybox_picture::{LabelledBox, PER_SHEET, TILE_SIDE, draw_boxes, resize_to_fit, sheet};

use crate::data::{Batch, DataError, Picture, Size, Split};
use crate::eval::Evaluator;

/// Fainter boxes would cover the picture.
const CONFIDENCE: f32 = 0.25;

/// Which boxes of a validation picture are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boxes {
    There,
    Found,
}

/// The first pictures of `batch`. `names`: the classes, by number.
pub fn batch(batch: &Batch, names: &[String]) -> Picture {
    let Size { width, height } = batch.size;
    let (side, len) = (batch.size.longer(), 3 * batch.size.area());
    let tiles = batch.pixels.chunks_exact(len).take(PER_SHEET).enumerate().map(|(i, planes)| {
        let picture =
            resize_to_fit(Picture::from_planes(width, height, planes), side.min(TILE_SIDE));
        let scale = [picture.width() as f32, picture.height() as f32];
        let of_picture = batch.targets.iter().filter(|target| target.image == i);
        let boxes = of_picture.map(|t| {
            let [x, y, w, h] = std::array::from_fn(|i| t.bbox[i] * scale[i % 2]);
            let corners = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0];
            LabelledBox { class: t.class, corners, label: name(names, t.class) }
        });
        with_boxes(picture, boxes.collect())
    });
    sheet(&tiles.collect::<Vec<_>>())
}

/// Sheet `number` of the pictures of `split`; `None` beyond the last.
pub fn validation(
    split: &Split,
    evaluator: &Evaluator,
    names: &[String],
    number: usize,
    which: Boxes,
) -> Result<Option<Picture>, DataError> {
    let end = split.len().min((number + 1) * PER_SHEET);
    let tiles: Vec<_> = (number * PER_SHEET..end)
        .map(|index| {
            let whole = split.picture(index)?;
            let picture = resize_to_fit((*whole).clone(), split.imgsz().min(TILE_SIDE));
            // Boxes are in pixels of the original.
            let scale = picture.width() as f32 / split.samples[index].width as f32;
            Ok(with_boxes(picture, boxes(evaluator, index, names, which, scale)))
        })
        .collect::<Result<_, DataError>>()?;
    Ok((!tiles.is_empty()).then(|| sheet(&tiles)))
}

fn boxes(
    evaluator: &Evaluator,
    index: usize,
    names: &[String],
    which: Boxes,
    scale: f32,
) -> Vec<LabelledBox> {
    let Some((found, there)) = evaluator.picture(index as u64) else { return Vec::new() };
    let labelled = |class: u32, corners: [f32; 4], label: String| LabelledBox {
        class,
        corners: corners.map(|v| v * scale),
        label,
    };
    match which {
        Boxes::There => {
            there.iter().map(|t| labelled(t.class, t.bbox, name(names, t.class))).collect()
        }
        Boxes::Found => found
            .iter()
            .filter(|d| d.score > CONFIDENCE)
            .map(|d| labelled(d.class, d.bbox, format!("{} {:.1}", name(names, d.class), d.score)))
            .collect(),
    }
}

fn name(names: &[String], class: u32) -> String {
    names.get(class as usize).cloned().unwrap_or_else(|| class.to_string())
}

fn with_boxes(mut picture: Picture, boxes: Vec<LabelledBox>) -> Picture {
    draw_boxes(&mut picture, &boxes);
    picture
}

#[cfg(test)]
mod tests {
    use ybox_picture::colour;

    use super::*;
    use crate::data::Target;

    #[test]
    fn a_batch_is_a_sheet_of_its_pictures_with_their_boxes() {
        let planes = vec![200; 5 * 3 * 64 * 64];
        let targets = vec![Target { image: 4, class: 1, bbox: [0.5, 0.5, 0.5, 0.5] }];
        let batch = Batch { pixels: planes, size: Size::square(64), targets, indices: vec![0; 5] };
        let picture = super::batch(&batch, &["a".into(), String::new()]);
        assert_eq!((picture.width(), picture.height()), (4 * 68 + 4, 2 * 68 + 4));
        // The fifth picture begins the second row.
        assert_eq!(picture.pixel(4 + 16, 72 + 16), colour(1));
        assert_eq!(picture.pixel(4 + 30, 72 + 30), [200; 3]);
        assert_eq!(picture.pixel(72 + 16, 72 + 16), [255; 3]);
    }

    #[test]
    fn boxes_follow_the_sides_of_a_rectangle() {
        let size = Size { width: 64, height: 32 };
        let targets = vec![Target { image: 0, class: 1, bbox: [0.5, 0.5, 0.5, 0.5] }];
        let batch = Batch { pixels: vec![200; 3 * size.area()], size, targets, indices: vec![0] };
        let picture = super::batch(&batch, &["a".into(), String::new()]);
        let coloured = |x, y| picture.pixel(x, y) == colour(1);
        let places = (0..picture.height()).flat_map(|y| (0..picture.width()).map(move |x| (x, y)));
        let found: Vec<_> = places.filter(|&(x, y)| coloured(x, y)).collect();
        let xs = || found.iter().map(|place| place.0);
        let ys = || found.iter().map(|place| place.1);
        let extent = [xs().min(), ys().min(), xs().max(), ys().max()].map(Option::unwrap);
        assert_eq!((extent[2] - extent[0], extent[3] - extent[1]), (31, 15), "{extent:?}");
    }
}
