//! COCO metrics on drawn boxes, which are also written out for the other side.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use ytrain::eval::{Detection, Evaluator, Truth};

use crate::Outcome;

const CLASSES: u32 = 80;

/// Seconds for COCO's twelve numbers
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for `truths.json` and `detections.json`
    out: PathBuf,
    #[arg(long, default_value_t = 5000)]
    images: u32,
    #[arg(long, default_value_t = 36_501)]
    truths: u32,
    #[arg(long, default_value_t = 500_000)]
    detections: u32,
}

/// What is there and what is found in one picture.
#[derive(Default)]
struct Picture {
    truths: Vec<Truth>,
    detections: Vec<Detection>,
}

pub fn run(args: &Args) -> Outcome {
    let pictures = draw(args);
    fs::create_dir_all(&args.out)?;
    fs::write(args.out.join("truths.json"), truths_json(&pictures).to_string())?;
    fs::write(args.out.join("detections.json"), detections_json(&pictures).to_string())?;
    let started = Instant::now();
    let mut evaluator = Evaluator::new((0..CLASSES).map(|class| class.to_string()).collect());
    for (id, picture) in (1..).zip(&pictures) {
        evaluator.add(id, &picture.detections, &picture.truths);
    }
    let numbers = evaluator.coco_numbers()?;
    let seconds = started.elapsed().as_secs_f64();
    println!("{}", json!({ "seconds": seconds, "numbers": numbers }));
    Ok(())
}

/// Objects of all sizes, and detections of which half lie near an object of their class.
fn draw(args: &Args) -> Vec<Picture> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut pictures: Vec<_> = (0..args.images).map(|_| Picture::default()).collect();
    for i in 0..args.truths {
        let class = random.next_u32() % CLASSES;
        pictures[(i % args.images) as usize].truths.push(Truth { bbox: bbox(&mut random), class });
    }
    for i in 0..args.detections {
        let picture = &mut pictures[(i % args.images) as usize];
        let near =
            picture.truths.get(random.next_u32() as usize % (2 * picture.truths.len()).max(1));
        let (bbox, class) = match near.copied() {
            Some(truth) => (truth.bbox.map(|v| v + between(&mut random, -8.0, 8.0)), truth.class),
            None => (bbox(&mut random), random.next_u32() % CLASSES),
        };
        let score = between(&mut random, 0.0, 1.0);
        let index = picture.detections.len() as u32;
        picture.detections.push(Detection { bbox, score, class, index });
    }
    pictures
}

fn between(random: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * ((random.next_u32() >> 8) as f32 / (1 << 24) as f32)
}

/// Sides from 20 to 270 pixels: small, medium and large objects.
fn bbox(random: &mut ChaCha8Rng) -> [f32; 4] {
    let [x, y] = [(); 2].map(|()| between(random, 0.0, 370.0));
    let [width, height] = [(); 2].map(|()| between(random, 20.0, 270.0));
    [x, y, x + width, y + height]
}

fn xywh([x1, y1, x2, y2]: [f32; 4]) -> [f64; 4] {
    let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(f64::from);
    [x1, y1, x2 - x1, y2 - y1]
}

fn truths_json(pictures: &[Picture]) -> Value {
    let truths = (1..).zip(pictures).flat_map(|(id, p)| p.truths.iter().map(move |t| (id, t)));
    let annotations: Vec<_> = (1..)
        .zip(truths)
        .map(|(id, (image, truth)): (u32, (u32, &Truth))| {
            let bbox = xywh(truth.bbox);
            json!({ "id": id, "image_id": image, "category_id": truth.class + 1, "bbox": bbox,
                    "area": bbox[2] * bbox[3], "iscrowd": 0 })
        })
        .collect();
    let images: Vec<_> = (1..=pictures.len()).map(|id| json!({ "id": id })).collect();
    let categories: Vec<_> = (1..=CLASSES).map(|id| json!({ "id": id, "name": id })).collect();
    json!({ "images": images, "categories": categories, "annotations": annotations })
}

fn detections_json(pictures: &[Picture]) -> Value {
    let found = (1..).zip(pictures).flat_map(|(id, p)| p.detections.iter().map(move |d| (id, d)));
    found
        .map(|(image, d): (u32, &Detection)| {
            json!({ "image_id": image, "category_id": d.class + 1, "bbox": xywh(d.bbox),
                    "score": f64::from(d.score) })
        })
        .collect()
}
