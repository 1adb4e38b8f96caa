//! COCO's twelve numbers against pycocotools, where `scripts/oracle-venv.sh` was run, and what must
//! hold of metrics whatever pycocotools says.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod coco_support;

use coco_support::{by_pycocotools, python};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use ytrain::eval::{Detection, Evaluator, Truth};

const CLASSES: u32 = 4;

/// What is there and what is found in one picture.
struct Picture {
    id: u64,
    truths: Vec<Truth>,
    detections: Vec<Detection>,
}

struct Random(ChaCha8Rng);

impl Random {
    /// Between `low` and `high`.
    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.0.next_u32() >> 8) as f32 / (1 << 24) as f32)
    }

    fn below(&mut self, end: u32) -> u32 {
        self.0.next_u32() % end
    }

    /// Sides from 4 to 250 pixels: small, medium and large objects.
    fn bbox(&mut self) -> [f32; 4] {
        let (x, y) = (self.between(0., 400.), self.between(0., 400.));
        let side = self.between(2., 8.);
        let (w, h) = (side.exp2().min(250.), (side + self.between(-1., 1.)).exp2().min(250.));
        [x, y, x + w, y + h]
    }

    /// A box near `bbox`, by up to a fifth of its sides.
    fn near(&mut self, bbox: [f32; 4]) -> [f32; 4] {
        let (w, h) = (bbox[2] - bbox[0], bbox[3] - bbox[1]);
        [(0, w), (1, h), (2, w), (3, h)].map(|(i, side)| bbox[i] + self.between(-0.2, 0.2) * side)
    }

    /// Classes other than the last have objects; scores are coarse, so that many are equal.
    fn picture(&mut self, id: u64) -> Picture {
        let truths: Vec<_> = (0..self.below(12))
            .map(|_| Truth { bbox: self.bbox(), class: self.below(CLASSES - 1) })
            .collect();
        let mut detections = Vec::new();
        for truth in &truths {
            for _ in 0..self.below(4) {
                let class = if self.below(8) == 0 { self.below(CLASSES) } else { truth.class };
                detections.push((self.near(truth.bbox), class));
            }
        }
        for _ in 0..self.below(160) {
            detections.push((self.bbox(), self.below(CLASSES)));
        }
        let detections = detections.into_iter().zip(0..).map(|((bbox, class), index)| Detection {
            bbox,
            score: self.below(64) as f32 / 64.,
            class,
            index,
        });
        Picture { id, truths, detections: detections.collect() }
    }
}

fn pictures(seed: u64) -> Vec<Picture> {
    let mut random = Random(ChaCha8Rng::seed_from_u64(seed));
    (0..60).map(|i| random.picture(i * 7 + 3)).collect()
}

fn evaluator<'a>(pictures: impl IntoIterator<Item = &'a Picture>) -> Evaluator {
    let mut evaluator = Evaluator::new((0..CLASSES).map(|i| format!("class {i}")).collect());
    for picture in pictures {
        evaluator.add(picture.id, &picture.detections, &picture.truths);
    }
    evaluator
}

fn xywh(bbox: [f32; 4]) -> [f64; 4] {
    let [x1, y1, x2, y2] = bbox.map(f64::from);
    [x1, y1, x2 - x1, y2 - y1]
}

/// The same as COCO JSON, made apart from the evaluator.
fn coco(pictures: &[Picture]) -> Value {
    let mut annotations = Vec::new();
    let mut results = Vec::new();
    for picture in pictures {
        for truth in &picture.truths {
            let bbox = xywh(truth.bbox);
            annotations.push(json!({
                "id": annotations.len() + 1, "image_id": picture.id, "category_id": truth.class + 1,
                "bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": 0,
            }));
        }
        for found in &picture.detections {
            results.push(json!({
                "image_id": picture.id, "category_id": found.class + 1,
                "bbox": xywh(found.bbox), "score": f64::from(found.score),
            }));
        }
    }
    let images: Vec<_> = pictures.iter().map(|picture| json!({ "id": picture.id })).collect();
    let categories: Vec<_> = (1..=CLASSES).map(|id| json!({ "id": id, "name": "" })).collect();
    json!({
        "truths": { "images": images, "annotations": annotations, "categories": categories },
        "results": results,
    })
}

#[test]
fn the_twelve_numbers_equal_pycocotools() {
    let Some(python) = python() else { return };
    for seed in 0..3 {
        let pictures = pictures(seed);
        let numbers = evaluator(&pictures).coco_numbers().unwrap();
        let expected = by_pycocotools(&python, &coco(&pictures));
        println!("seed {seed}: {numbers:.4?}");
        assert_eq!((numbers.len(), expected.len()), (12, 12));
        for (i, (found, expected)) in numbers.iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() < 1e-9, "seed {seed}, {i}: {found}, not {expected}");
        }
    }
}

#[test]
fn metrics_are_those_numbers() {
    let evaluator = evaluator(&pictures(1));
    let (metrics, numbers) = (evaluator.finish().unwrap(), evaluator.coco_numbers().unwrap());
    assert!((metrics.map - numbers[0]).abs() < 1e-12, "{metrics:?}");
    assert!((metrics.map50 - numbers[1]).abs() < 1e-12, "{metrics:?}");
    assert_eq!(metrics.classes.len(), CLASSES as usize - 1);
}

#[test]
fn the_order_of_adding_does_not_matter() {
    let pictures = pictures(2);
    let (straight, reversed) = (evaluator(&pictures), evaluator(pictures.iter().rev()));
    assert_eq!(straight.finish().unwrap(), reversed.finish().unwrap());
    assert_eq!(straight.coco_numbers().unwrap(), reversed.coco_numbers().unwrap());
}
