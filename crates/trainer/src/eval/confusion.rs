//! The confusion matrix of a detector: what objects of each class were taken for, with background
//! as one more class for what was missed and what was found where nothing is.

use super::{Detection, Truth, iou};

/// Weaker detections are not counted: people would not see them either.
const CONFIDENCE: f32 = 0.25;

/// A detection is of an object that it overlaps by this IoU or more, whatever its class.
const IOU: f64 = 0.45;

/// Counts, by what was found and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    names: Vec<String>,
    /// `[found][there]`, the background last.
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// Of no picture; `names`: the classes, by number.
    pub fn new(names: Vec<String>) -> Self {
        let side = names.len() + 1;
        Self { names, counts: vec![vec![0; side]; side] }
    }

    /// Adds a picture. Pairs of a detection and an object are taken by overlap, largest first, each
    /// once.
    ///
    /// # Panics
    /// On a class without a name.
    pub fn add(&mut self, detections: &[Detection], truths: &[Truth]) {
        let background = self.names.len();
        let seen: Vec<_> = detections.iter().filter(|d| d.score > CONFIDENCE).collect();
        let mut free_detections = vec![true; seen.len()];
        let mut free_truths = vec![true; truths.len()];
        for (found, there) in pairs(&seen, truths) {
            if free_detections[found] && free_truths[there] {
                (free_detections[found], free_truths[there]) = (false, false);
                self.counts[seen[found].class as usize][truths[there].class as usize] += 1;
            }
        }
        for (detection, _) in seen.iter().zip(free_detections).filter(|(_, free)| *free) {
            self.counts[detection.class as usize][background] += 1;
        }
        for (truth, _) in truths.iter().zip(free_truths).filter(|(_, free)| *free) {
            self.counts[background][truth.class as usize] += 1;
        }
    }

    /// The classes and `background`.
    pub fn labels(&self) -> Vec<String> {
        self.names.iter().cloned().chain(["background".to_owned()]).collect()
    }

    /// How many objects of class `there` were found as `found`; the background is the class after
    /// the last.
    pub fn count(&self, found: usize, there: usize) -> u64 {
        self.counts[found][there]
    }

    /// The same as a share of all that is `there`, or 0.
    pub fn share(&self, found: usize, there: usize) -> f64 {
        let all: u64 = self.counts.iter().map(|row| row[there]).sum();
        self.counts[found][there] as f64 / all.max(1) as f64
    }
}

/// Detection and object, largest overlap first; of equals, the better detection.
fn pairs(detections: &[&Detection], truths: &[Truth]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (found, detection) in detections.iter().enumerate() {
        for (there, truth) in truths.iter().enumerate() {
            let overlap = iou(&detection.bbox.map(f64::from), &truth.bbox.map(f64::from));
            if overlap >= IOU {
                pairs.push((overlap, found, there));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    pairs.into_iter().map(|(_, found, there)| (found, there)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detection(x: f32, class: u32, score: f32) -> Detection {
        Detection { bbox: [x, 0., x + 50., 50.], score, class, index: 0 }
    }

    fn truth(x: f32, class: u32) -> Truth {
        Truth { bbox: [x, 0., x + 50., 50.], class }
    }

    #[test]
    fn hits_mix_ups_misses_and_ghosts_are_told_apart() {
        let mut confusion = Confusion::new(vec!["cat".into(), "dog".into()]);
        confusion.add(
            &[
                detection(5., 0, 0.9),
                detection(0., 0, 0.8),
                detection(100., 1, 0.7),
                detection(300., 1, 0.9),
                detection(200., 1, 0.2),
            ],
            &[truth(0., 0), truth(100., 0), truth(200., 1)],
        );
        // A hit, the second box on it, the mix-up, the ghost, and the miss of what is too faint.
        let counts = [[1, 0, 1], [1, 0, 1], [0, 1, 0]];
        for (found, row) in counts.iter().enumerate() {
            for (there, &count) in row.iter().enumerate() {
                assert_eq!(confusion.count(found, there), count, "{found} {there}");
            }
        }
        assert_eq!(confusion.share(0, 0), 0.5);
        assert_eq!(confusion.labels(), ["cat", "dog", "background"]);
        assert_eq!(Confusion::new(Vec::new()).share(0, 0), 0.0);
    }
}
