//! Non-maximum suppression. All arithmetic is f32 in a fixed order, so that the same predictions
//! give the same detections on every machine.

use std::cmp::Ordering;

/// Boxes are compared after a move by this many pixels per class. Within a class that changes
/// nothing but the rounding, and that is how the reference rounds.
const CLASS_OFFSET: f32 = 7680.;

/// No more candidates than this, the best ones, are compared.
const MAX_CANDIDATES: usize = 30_000;

/// One object found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Corners x1, y1, x2, y2, in the unit of the predictions.
    pub bbox: [f32; 4],
    pub score: f32,
    pub class: u32,
    /// Column of the prediction.
    pub index: u32,
}

/// Which classes a box may be detected as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// The one with the highest score: for people.
    Best,
    /// All that score above the threshold: for precision-recall curves.
    Every,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nms {
    /// Scores must be above this.
    pub conf: f64,
    /// A box that overlaps a better one by more than this IoU is dropped.
    pub iou: f64,
    pub max_det: usize,
    pub labels: Labels,
    /// Whether boxes of different classes suppress each other.
    pub agnostic: bool,
}

impl Nms {
    /// Boxes compete within their class.
    pub fn new(settings: &ybox_spec::config::Nms, labels: Labels) -> Self {
        Self {
            conf: settings.conf,
            iou: settings.iou,
            max_det: settings.max_det as usize,
            labels,
            agnostic: false,
        }
    }
}

/// The detections of one picture, best score first; of equal scores, the first column, then the
/// first class.
///
/// `pred`: `[4 + classes, A]` row-major, rows centre x, centre y, width, height, then the classes'
/// scores. Predictions that are not finite are passed over.
///
/// # Panics
///
/// Where `pred` is not a whole number of columns.
pub fn suppress(pred: &[f32], classes: usize, nms: &Nms) -> Vec<Detection> {
    let predictions = Predictions::of(pred, classes);
    let mut candidates = predictions.candidates(nms);
    keep_best(&mut candidates, MAX_CANDIDATES);
    let mut kept = Kept::new(classes, nms);
    for candidate in candidates {
        if kept.detections.len() == nms.max_det {
            break;
        }
        kept.offer(candidate);
    }
    kept.detections
}

struct Predictions<'a> {
    values: &'a [f32],
    columns: usize,
    classes: usize,
}

impl<'a> Predictions<'a> {
    fn of(values: &'a [f32], classes: usize) -> Self {
        let columns = values.len() / (4 + classes);
        assert_eq!(values.len(), columns * (4 + classes), "pred is [4 + {classes}, A]");
        Self { values, columns, classes }
    }

    fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// Corners of the box in `column`.
    fn bbox(&self, column: usize) -> [f32; 4] {
        let [x, y, w, h] = [0, 1, 2, 3].map(|row| self.row(row)[column]);
        let (half_w, half_h) = (w / 2., h / 2.);
        [x - half_w, y - half_h, x + half_w, y + half_h]
    }

    /// Everything that scores above the threshold.
    fn candidates(&self, nms: &Nms) -> Vec<Detection> {
        let scored = match nms.labels {
            Labels::Best => self.best(nms.conf as f32),
            Labels::Every => self.every(nms.conf as f32),
        };
        scored
            .into_iter()
            .map(|(index, class, score)| Detection {
                bbox: self.bbox(index as usize),
                score,
                class,
                index,
            })
            .filter(|candidate| candidate.bbox.iter().all(|side| side.is_finite()))
            .collect()
    }

    /// Column, class and score where the column's best score is above `conf`.
    fn best(&self, conf: f32) -> Vec<(u32, u32, f32)> {
        let mut best = vec![(0u32, f32::NEG_INFINITY); self.columns];
        for class in 0..self.classes {
            for (best, &score) in best.iter_mut().zip(self.row(4 + class)) {
                if score > best.1 {
                    *best = (class as u32, score);
                }
            }
        }
        let columns = best.into_iter().enumerate();
        columns
            .filter(|&(_, (_, score))| score > conf)
            .map(|(column, (class, score))| (column as u32, class, score))
            .collect()
    }

    /// Column, class and score wherever the score is above `conf`.
    fn every(&self, conf: f32) -> Vec<(u32, u32, f32)> {
        (0..self.classes)
            .flat_map(|class| {
                let scores = self.row(4 + class).iter().enumerate();
                scores
                    .filter(move |&(_, &score)| score > conf)
                    .map(move |(column, &score)| (column as u32, class as u32, score))
            })
            .collect()
    }
}

fn by_score(a: &Detection, b: &Detection) -> Ordering {
    b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)).then(a.class.cmp(&b.class))
}

/// Sorts by score and cuts to `limit`.
fn keep_best(candidates: &mut Vec<Detection>, limit: usize) {
    if candidates.len() > limit {
        candidates.select_nth_unstable_by(limit, by_score);
        candidates.truncate(limit);
    }
    candidates.sort_unstable_by(by_score);
}

/// The detections so far, and their boxes as they are compared.
struct Kept {
    detections: Vec<Detection>,
    /// By class, or all in one where classes don't matter.
    rivals: Vec<Vec<Placed>>,
    iou: f64,
    agnostic: bool,
}

/// A box where it is compared: moved by its class.
#[derive(Clone, Copy)]
struct Placed {
    bbox: [f32; 4],
    area: f32,
}

impl Kept {
    fn new(classes: usize, nms: &Nms) -> Self {
        Self {
            detections: Vec::new(),
            rivals: vec![Vec::new(); if nms.agnostic { 1 } else { classes }],
            iou: nms.iou,
            agnostic: nms.agnostic,
        }
    }

    /// Keeps `candidate` unless a better box overlaps it too much.
    fn offer(&mut self, candidate: Detection) {
        let group = if self.agnostic { 0 } else { candidate.class };
        let offset = group as f32 * CLASS_OFFSET;
        let placed = Placed::of(candidate.bbox.map(|side| side + offset));
        let rivals = &mut self.rivals[group as usize];
        // The ratio is f32, the threshold f64: 0.7 itself is not an f32.
        if rivals.iter().any(|rival| f64::from(rival.iou(&placed)) > self.iou) {
            return;
        }
        rivals.push(placed);
        self.detections.push(candidate);
    }
}

impl Placed {
    fn of(bbox: [f32; 4]) -> Self {
        let [x1, y1, x2, y2] = bbox;
        Self { bbox, area: (x2 - x1) * (y2 - y1) }
    }

    fn iou(&self, other: &Self) -> f32 {
        let (a, b) = (&self.bbox, &other.bbox);
        let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.);
        let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.);
        let overlap = width * height;
        overlap / (self.area + other.area - overlap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREDICT: Nms =
        Nms { conf: 0.25, iou: 0.7, max_det: 300, labels: Labels::Best, agnostic: false };

    /// Columns of `[cx, cy, w, h, scores...]` as `pred`.
    fn pred<const R: usize>(columns: &[[f32; R]]) -> Vec<f32> {
        (0..R).flat_map(|row| columns.iter().map(move |column| column[row])).collect()
    }

    fn found(columns: &[[f32; 6]], nms: Nms) -> Vec<(u32, u32)> {
        suppress(&pred(columns), 2, &nms).iter().map(|d| (d.index, d.class)).collect()
    }

    const OVERLAPPING: [[f32; 6]; 3] = [
        [50., 50., 20., 20., 0.5, 0.1],
        [51., 50., 20., 20., 0.9, 0.3],
        [50., 51., 20., 20., 0.2, 0.8],
    ];

    #[test]
    fn the_better_box_of_a_class_stays() {
        assert_eq!(found(&OVERLAPPING, PREDICT), [(1, 0), (2, 1)]);
    }

    #[test]
    fn agnostic_boxes_compete_across_classes() {
        assert_eq!(found(&OVERLAPPING, Nms { agnostic: true, ..PREDICT }), [(1, 0)]);
    }

    #[test]
    fn every_label_above_the_threshold_counts_where_asked() {
        let nms = Nms { labels: Labels::Every, ..PREDICT };
        assert_eq!(found(&OVERLAPPING[1..2], nms), [(0, 0), (0, 1)]);
    }

    #[test]
    fn scores_and_overlaps_at_the_threshold() {
        let at = [[50., 50., 20., 20., 0.25, 0.]];
        assert_eq!(found(&at, PREDICT), []);
        // Two boxes of 20 by 20, 10 apart: IoU 1/3.
        let third = [[50., 50., 20., 20., 0.9, 0.], [60., 50., 20., 20., 0.8, 0.]];
        let exact = f64::from(1f32 / 3.);
        assert_eq!(found(&third, Nms { iou: exact, ..PREDICT }).len(), 2);
        assert_eq!(found(&third, Nms { iou: exact - 1e-9, ..PREDICT }).len(), 1);
    }

    #[test]
    fn equal_scores_keep_the_order_of_columns() {
        let apart = [0., 100., 200.].map(|x| [x, 50., 20., 20., 0.5, 0.5]);
        assert_eq!(found(&apart, PREDICT), [(0, 0), (1, 0), (2, 0)]);
    }

    #[test]
    fn no_more_than_asked_for() {
        let apart = [0., 100., 200.].map(|x| [x, 50., 20., 20., 0.5, 0.]);
        assert_eq!(found(&apart, Nms { max_det: 2, ..PREDICT }), [(0, 0), (1, 0)]);
    }

    #[test]
    fn what_is_not_finite_is_no_detection() {
        let broken = [
            [f32::NAN, 50., 20., 20., 0.9, 0.],
            [50., 50., f32::INFINITY, 20., 0.9, 0.],
            [50., 50., 20., 20., f32::NAN, 0.],
            [50., 50., 20., 20., 0.5, f32::NAN],
        ];
        assert_eq!(found(&broken, PREDICT), [(3, 0)]);
    }
}
