//! COCO metrics of a set of pictures. Average precisions come from `hotcoco`, precision and recall
//! at the best mean F1 from the module beside. The outcome depends on what was added, not on the
//! order of it.

use std::collections::{BTreeMap, BTreeSet};

use hotcoco::params::IouType;
use hotcoco::{AccumulatedEval, Annotation, COCO, COCOeval, Category, Dataset, Image};
use thiserror::Error;
use ybox_spec::events::{ClassMetrics, Metrics};

use super::confidence::{ClassOutcome, Scored, at_best_f1};
use super::{Confusion, Detection, Truth};

#[derive(Debug, Error)]
pub enum EvalError {
    #[error("the detections can't be scored: {0}")]
    Scoring(#[from] hotcoco::Error),
}

/// Collects what was found in pictures, and what is there.
#[derive(Debug)]
pub struct Evaluator {
    names: Vec<String>,
    pictures: BTreeMap<u64, Picture>,
}

#[derive(Debug)]
struct Picture {
    detections: Vec<Detection>,
    truths: Vec<Truth>,
}

/// How one class is found, at IoU 0.5.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassCurves {
    pub name: String,
    /// By confidence threshold, in equal steps from 0 to 1.
    pub precision: Vec<f64>,
    pub recall: Vec<f64>,
    /// COCO's precision by recall, in equal steps from 0 to 1.
    pub precision_by_recall: Vec<f64>,
}

/// Means over IoU 0.50 to 0.95, and at 0.50; 0 where a class has no objects.
#[derive(Debug, Clone, Copy)]
struct AveragePrecision {
    map: f64,
    map50: f64,
}

impl Evaluator {
    /// `names`: the classes, by number.
    pub fn new(names: Vec<String>) -> Self {
        Self { names, pictures: BTreeMap::new() }
    }

    /// Adds a picture, or replaces it where `id` is there already. Boxes are in pixels of the
    /// original picture; classes without a name are passed over.
    pub fn add(&mut self, id: u64, detections: &[Detection], truths: &[Truth]) {
        let known = |class: u32| (class as usize) < self.names.len();
        let mut detections: Vec<_> =
            detections.iter().filter(|d| known(d.class)).copied().collect();
        detections.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
        let truths = truths.iter().filter(|t| known(t.class)).copied().collect();
        self.pictures.insert(id, Picture { detections, truths });
    }

    /// The metrics of all pictures added. Classes without objects count for no mean and are not
    /// listed; without any object everything is 0.
    pub fn finish(&self) -> Result<Metrics, EvalError> {
        let outcomes = self.outcomes();
        let classes: Vec<usize> =
            (0..self.names.len()).filter(|&class| outcomes[class].objects > 0).collect();
        let chosen: Vec<_> = classes.iter().map(|&class| &outcomes[class]).collect();
        let rates = at_best_f1(&chosen);
        let precisions = self.average_precisions()?;
        let listed: Vec<_> = classes
            .iter()
            .zip(&rates)
            .map(|(&class, &(precision, recall))| ClassMetrics {
                name: self.names[class].clone(),
                instances: outcomes[class].objects,
                precision,
                recall,
                map50: precisions[class].map50,
                map: precisions[class].map,
            })
            .collect();
        Ok(self.summary(listed))
    }

    fn summary(&self, classes: Vec<ClassMetrics>) -> Metrics {
        let mean = |value: fn(&ClassMetrics) -> f64| {
            classes.iter().map(value).sum::<f64>() / classes.len().max(1) as f64
        };
        Metrics {
            images: self.pictures.len() as u64,
            instances: classes.iter().map(|class| class.instances).sum(),
            precision: mean(|class| class.precision),
            recall: mean(|class| class.recall),
            map50: mean(|class| class.map50),
            map: mean(|class| class.map),
            classes,
        }
    }

    /// COCO's twelve numbers, in COCO's order: AP, AP50, AP75, AP of small, medium and large
    /// objects, AR with 1, 10 and 100 detections, AR of small, medium and large objects. -1 where
    /// there is nothing to average.
    pub fn coco_numbers(&self) -> Result<Vec<f64>, EvalError> {
        let mut eval = self.evaluated()?;
        // Computes the numbers; the lines themselves are not wanted.
        let _ = eval.summarize_lines();
        Ok(eval.stats().unwrap_or_default().to_vec())
    }

    /// The curves behind the metrics, of the classes that have objects, by number.
    pub fn curves(&self) -> Result<Vec<ClassCurves>, EvalError> {
        let eval = self.evaluated()?;
        let by_recall = |class| eval.accumulated().map(|c| precision_by_recall(&eval, c, class));
        let outcomes = self.outcomes().into_iter().enumerate();
        let curves = outcomes.filter(|(_, outcome)| outcome.objects > 0).map(|(class, outcome)| {
            let curves = outcome.curves();
            ClassCurves {
                name: self.names[class].clone(),
                precision: curves.precision,
                recall: curves.recall,
                precision_by_recall: by_recall(class).unwrap_or_default(),
            }
        });
        Ok(curves.collect())
    }

    /// What objects of each class were taken for.
    pub fn confusion(&self) -> Confusion {
        let mut confusion = Confusion::new(self.names.clone());
        for picture in self.pictures.values() {
            confusion.add(&picture.detections, &picture.truths);
        }
        confusion
    }

    /// What was found in picture `id`, best first, and what is there.
    pub fn picture(&self, id: u64) -> Option<(&[Detection], &[Truth])> {
        self.pictures.get(&id).map(|p| (p.detections.as_slice(), p.truths.as_slice()))
    }

    fn outcomes(&self) -> Vec<ClassOutcome> {
        let mut outcomes: Vec<_> = self.names.iter().map(|_| ClassOutcome::default()).collect();
        for picture in self.pictures.values() {
            for class in picture.classes() {
                outcomes[class].add(picture.found(class), &picture.there(class));
            }
        }
        outcomes
    }

    /// By class.
    fn average_precisions(&self) -> Result<Vec<AveragePrecision>, EvalError> {
        let eval = self.evaluated()?;
        let Some(curves) = eval.accumulated() else { return Ok(Vec::new()) };
        let (area, cap) = (eval.params.all_area_idx(), eval.params.max_det_idx());
        let half = eval.params.iou_thr_idx(0.5).unwrap_or(0);
        let of = |class| AveragePrecision {
            map: mean_precision(curves, 0..curves.shape.t, class, area, cap),
            map50: mean_precision(curves, half..half + 1, class, area, cap),
        };
        Ok((0..self.names.len()).map(of).collect())
    }

    fn evaluated(&self) -> Result<COCOeval, EvalError> {
        let truths = COCO::from_dataset(self.dataset());
        let detections = truths.load_res_anns(self.results())?;
        let mut eval = COCOeval::new(truths, detections, IouType::Bbox);
        // All classes and pictures, also those that nothing is in: the axes are then known.
        eval.params.cat_ids = (0..self.names.len()).map(category).collect();
        eval.params.img_ids = self.pictures.keys().copied().collect();
        eval.evaluate()?;
        eval.accumulate();
        Ok(eval)
    }

    fn dataset(&self) -> Dataset {
        let names = self.names.iter().enumerate();
        let mut annotations = Vec::new();
        for (&image_id, picture) in &self.pictures {
            for truth in &picture.truths {
                let bbox = xywh(truth.bbox);
                annotations.push(Annotation {
                    // From 1: to COCO's tools 0 means no match.
                    id: annotations.len() as u64 + 1,
                    image_id,
                    category_id: category(truth.class as usize),
                    bbox: Some(bbox),
                    area: Some(bbox[2] * bbox[3]),
                    ..Default::default()
                });
            }
        }
        Dataset {
            images: self.pictures.keys().map(|&id| Image { id, ..Default::default() }).collect(),
            categories: names
                .map(|(i, name)| Category {
                    id: category(i),
                    name: name.clone(),
                    ..Default::default()
                })
                .collect(),
            annotations,
            ..Default::default()
        }
    }

    fn results(&self) -> Vec<Annotation> {
        let all =
            self.pictures.iter().flat_map(|(id, p)| p.detections.iter().map(move |d| (id, d)));
        all.map(|(&image_id, detection)| Annotation {
            image_id,
            category_id: category(detection.class as usize),
            bbox: Some(xywh(detection.bbox)),
            score: Some(f64::from(detection.score)),
            ..Default::default()
        })
        .collect()
    }
}

impl Picture {
    /// Found or there.
    fn classes(&self) -> BTreeSet<usize> {
        let found = self.detections.iter().map(|d| d.class as usize);
        found.chain(self.truths.iter().map(|t| t.class as usize)).collect()
    }

    fn found(&self, class: usize) -> Vec<Scored> {
        let of_class = self.detections.iter().filter(|d| d.class as usize == class);
        of_class.map(|d| Scored { bbox: d.bbox.map(f64::from), score: d.score }).collect()
    }

    fn there(&self, class: usize) -> Vec<[f64; 4]> {
        let of_class = self.truths.iter().filter(|t| t.class as usize == class);
        of_class.map(|t| t.bbox.map(f64::from)).collect()
    }
}

/// The mean over all recalls and the given overlaps; 0 where nothing was computed.
fn mean_precision(
    curves: &AccumulatedEval,
    overlaps: std::ops::Range<usize>,
    class: usize,
    area: usize,
    cap: usize,
) -> f64 {
    let values: Vec<f64> = overlaps
        .flat_map(|t| {
            (0..curves.shape.r)
                .map(move |r| curves.precision[curves.precision_idx(t, r, class, area, cap)])
        })
        .filter(|&value| value >= 0.)
        .collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn precision_by_recall(eval: &COCOeval, curves: &AccumulatedEval, class: usize) -> Vec<f64> {
    let (area, cap) = (eval.params.all_area_idx(), eval.params.max_det_idx());
    let half = eval.params.iou_thr_idx(0.5).unwrap_or(0);
    let at = |r| curves.precision[curves.precision_idx(half, r, class, area, cap)];
    (0..curves.shape.r).map(|r| at(r).max(0.)).collect()
}

/// COCO's categories count from 1.
fn category(class: usize) -> u64 {
    class as u64 + 1
}

fn xywh([x1, y1, x2, y2]: [f32; 4]) -> [f64; 4] {
    let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(f64::from);
    [x1, y1, x2 - x1, y2 - y1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluator() -> Evaluator {
        Evaluator::new(["cat", "dog", "owl"].map(str::to_owned).to_vec())
    }

    fn detection(x: f32, class: u32, score: f32) -> Detection {
        Detection { bbox: [x, 0., x + 50., 50.], score, class, index: x as u32 }
    }

    fn truth(x: f32, class: u32) -> Truth {
        Truth { bbox: [x, 0., x + 50., 50.], class }
    }

    #[test]
    fn perfect_detections_score_one() {
        let mut evaluator = evaluator();
        evaluator.add(
            7,
            &[detection(0., 0, 0.9), detection(100., 1, 0.8)],
            &[truth(0., 0), truth(100., 1)],
        );
        let metrics = evaluator.finish().unwrap();
        assert_eq!((metrics.images, metrics.instances), (1, 2));
        for value in [metrics.precision, metrics.recall, metrics.map50, metrics.map] {
            assert!((value - 1.).abs() < 1e-12, "{metrics:?}");
        }
        let names: Vec<_> = metrics.classes.iter().map(|class| class.name.as_str()).collect();
        assert_eq!(names, ["cat", "dog"]);
    }

    #[test]
    fn nothing_there_is_zero_not_nan() {
        let mut evaluator = evaluator();
        evaluator.add(1, &[detection(0., 0, 0.9)], &[]);
        let metrics = evaluator.finish().unwrap();
        assert_eq!((metrics.map, metrics.precision, metrics.classes.len()), (0., 0., 0));
        assert_eq!(Evaluator::new(Vec::new()).finish().unwrap(), Metrics::default());
    }

    #[test]
    fn a_class_that_is_never_found_pulls_the_means_down() {
        let mut evaluator = evaluator();
        evaluator.add(1, &[detection(0., 0, 0.9)], &[truth(0., 0), truth(100., 2)]);
        let metrics = evaluator.finish().unwrap();
        assert!((metrics.map50 - 0.5).abs() < 1e-12);
        assert_eq!(metrics.classes[1].map, 0.);
    }

    #[test]
    fn curves_end_in_the_metrics() {
        let mut evaluator = evaluator();
        evaluator.add(1, &[detection(0., 0, 0.9)], &[truth(0., 0), truth(100., 0), truth(0., 2)]);
        let curves = evaluator.curves().unwrap();
        let names: Vec<_> = curves.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["cat", "owl"]);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let map50 = evaluator.finish().unwrap().classes[0].map50;
        assert!((mean(&curves[0].precision_by_recall) - map50).abs() < 1e-12);
        assert_eq!((curves[0].recall[0], curves[0].precision[0]), (0.5, 1.0));
        assert_eq!((curves[0].recall[999], curves[0].precision[999]), (0.0, 1.0));
        assert_eq!(mean(&curves[1].precision_by_recall), 0.0);
    }

    #[test]
    fn a_loose_box_counts_at_fifty_only() {
        let mut evaluator = evaluator();
        // Shifted by 15 of 50: IoU 35 / 65.
        evaluator.add(1, &[detection(15., 0, 0.9)], &[truth(0., 0)]);
        let metrics = evaluator.finish().unwrap();
        assert!((metrics.map50 - 1.).abs() < 1e-12 && (metrics.map - 0.1).abs() < 1e-12);
    }
}
