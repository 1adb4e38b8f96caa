//! Precision and recall as functions of the confidence threshold, at IoU 0.5, and the threshold
//! where the mean F1 over classes is best.

use super::iou;

/// Confidence thresholds looked at: 0 to 1 in equal steps.
const STEPS: usize = 1000;

/// The mean F1 is averaged over this many neighbouring thresholds before the best is chosen, so
/// that no single lucky threshold wins.
const SMOOTHING: usize = 101;

const IOU: f64 = 0.5;

/// Detections of one class in all pictures, and how many objects it has.
#[derive(Debug, Default)]
pub(super) struct ClassOutcome {
    /// Score of every detection, and whether it met an object.
    pub detections: Vec<(f32, bool)>,
    pub objects: u64,
}

/// A box with its score, of one class in one picture.
pub(super) struct Scored {
    pub bbox: [f64; 4],
    pub score: f32,
}

impl ClassOutcome {
    /// Adds one picture: detections, best first, each take the object left that they overlap most,
    /// if by 0.5 or more.
    pub(super) fn add(&mut self, mut detections: Vec<Scored>, objects: &[[f64; 4]]) {
        detections.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut free = vec![true; objects.len()];
        for detection in detections {
            let met = nearest(&detection.bbox, objects, &free);
            if let Some(object) = met {
                free[object] = false;
            }
            self.detections.push((detection.score, met.is_some()));
        }
        self.objects += objects.len() as u64;
    }

    /// Precision and recall at every threshold.
    pub(super) fn curves(&self) -> Curves {
        let mut detections = self.detections.clone();
        detections.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut curve = Vec::with_capacity(detections.len());
        let (mut met, mut all) = (0., 0.);
        for (score, hit) in detections {
            all += 1.;
            met += f64::from(u8::from(hit));
            curve.push((f64::from(score), met / all, met / self.objects as f64));
        }
        let mut curves = Curves { precision: Vec::new(), recall: Vec::new() };
        for step in 0..STEPS {
            let (precision, recall) = at(&curve, step as f64 / (STEPS - 1) as f64);
            curves.precision.push(precision);
            curves.recall.push(recall);
        }
        curves
    }
}

/// At [`STEPS`] thresholds from 0 to 1.
pub(super) struct Curves {
    pub precision: Vec<f64>,
    pub recall: Vec<f64>,
}

/// Precision and recall at `threshold`, in a line between the scores around it. Above all scores
/// nothing is detected, and nothing wrongly; a class that is never detected has no precision.
fn at(curve: &[(f64, f64, f64)], threshold: f64) -> (f64, f64) {
    if curve.is_empty() {
        return (0., 0.);
    }
    let above = curve.partition_point(|&(score, ..)| score >= threshold);
    match (above.checked_sub(1).map(|i| curve[i]), curve.get(above)) {
        (None, _) => (1., 0.),
        (Some((_, precision, recall)), None) => (precision, recall),
        (Some(high), Some(low)) => {
            let share = (high.0 - threshold) / (high.0 - low.0);
            (high.1 + (low.1 - high.1) * share, high.2 + (low.2 - high.2) * share)
        }
    }
}

/// The free object that `bbox` overlaps most, if by 0.5 or more; of equals, the first.
fn nearest(bbox: &[f64; 4], objects: &[[f64; 4]], free: &[bool]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (i, object) in objects.iter().enumerate().filter(|&(i, _)| free[i]) {
        let overlap = iou(bbox, object);
        if overlap >= IOU && best.is_none_or(|(_, most)| overlap > most) {
            best = Some((i, overlap));
        }
    }
    best.map(|(i, _)| i)
}

/// Precision and recall of every class at the threshold of the best mean F1. All classes must
/// have objects.
pub(super) fn at_best_f1(outcomes: &[&ClassOutcome]) -> Vec<(f64, f64)> {
    let curves: Vec<_> = outcomes.iter().map(|outcome| outcome.curves()).collect();
    let mean: Vec<f64> = (0..STEPS)
        .map(|i| curves.iter().map(|c| f1(c.precision[i], c.recall[i])).sum::<f64>())
        .collect();
    let best = first_largest(&smooth(&mean));
    curves.iter().map(|c| (c.precision[best], c.recall[best])).collect()
}

fn f1(precision: f64, recall: f64) -> f64 {
    2. * precision * recall / (precision + recall + 1e-16)
}

/// The mean over a window of [`SMOOTHING`] values; beyond the ends the end values go on.
fn smooth(values: &[f64]) -> Vec<f64> {
    let reach = (SMOOTHING / 2) as isize;
    let last = values.len() as isize - 1;
    (0..=last)
        .map(|centre| {
            let window = centre - reach..=centre + reach;
            window.map(|i| values[i.clamp(0, last) as usize]).sum::<f64>() / SMOOTHING as f64
        })
        .collect()
}

fn first_largest(values: &[f64]) -> usize {
    (0..values.len()).reduce(|best, i| if values[i] > values[best] { i } else { best }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(x: f64, score: f32) -> Scored {
        Scored { bbox: [x, 0., x + 10., 10.], score }
    }

    #[test]
    fn each_object_is_met_once_by_the_best_score() {
        let mut outcome = ClassOutcome::default();
        outcome
            .add(vec![scored(0., 0.3), scored(1., 0.9), scored(50., 0.8)], &[[0., 0., 10., 10.]]);
        assert_eq!(outcome.detections, [(0.9, true), (0.8, false), (0.3, false)]);
        assert_eq!(outcome.objects, 1);
    }

    #[test]
    fn an_overlap_of_exactly_half_counts() {
        let mut outcome = ClassOutcome::default();
        outcome.add(vec![Scored { bbox: [0., 0., 10., 5.], score: 0.5 }], &[[0., 0., 10., 10.]]);
        assert_eq!(outcome.detections, [(0.5, true)]);
    }

    #[test]
    fn the_best_threshold_leaves_the_false_ones_out() {
        let detections = vec![(0.9, true), (0.8, true), (0.2, false), (0.15, false)];
        let outcome = ClassOutcome { detections, objects: 2 };
        let [(precision, recall)] = at_best_f1(&[&outcome])[..] else { unreachable!() };
        assert!(precision > 0.9 && recall == 1., "{precision} {recall}");
    }

    #[test]
    fn without_detections_there_is_neither() {
        let outcome = ClassOutcome { detections: Vec::new(), objects: 3 };
        assert_eq!(at_best_f1(&[&outcome]), [(0., 0.)]);
    }

    #[test]
    fn curves_run_in_lines_between_scores() {
        let curve = [(0.8, 1., 0.5), (0.4, 0.5, 0.5), (0.2, 0.6, 1.)];
        assert_eq!(at(&curve, 0.9), (1., 0.));
        assert_eq!(at(&curve, 0.8), (1., 0.5));
        let (precision, recall) = at(&curve, 0.6);
        assert!((precision - 0.75).abs() < 1e-12 && recall == 0.5);
        assert_eq!(at(&curve, 0.1), (0.6, 1.));
    }
}
