//! What `predict` and `val` write of what they find, by the real trainer: both find the same boxes,
//! bit for bit; pycocotools scores the file as our own validation does; settings choose classes.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod coco_support;
mod data_support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coco_support::{by_pycocotools, python};
use data_support::Drawn;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor, no_grad};
use ybox_spec::config::{AttentionPath, Compute, Config, Nms, PredictConfig, ValConfig};
use ybox_spec::manifest::{Entry, Manifest};
use ybox_spec::weights::WeightsInfo;
use ytrain::data::Picture;
use ytrain::model::{ModelSpec, Yolo12};
use ytrain::weights;

const PICTURES: usize = 6;
const IMGSZ: u32 = 96;
const NMS: Nms = Nms { conf: 0.05, iou: 0.5, max_det: 300 };
const COMPUTE: fn() -> Compute =
    || Compute { attention: AttentionPath::Flash, ..Compute::default() };

fn names() -> Vec<String> {
    ["cat", "dog", "owl"].map(str::to_owned).into()
}

fn size(i: usize) -> (u32, u32) {
    (90 + 7 * i as u32, 60 + 11 * i as u32)
}

/// Drawn pictures with labels of the caller's.
fn set(label: impl Fn(usize) -> String, name: impl Fn(usize) -> String) -> Drawn {
    (0..PICTURES).fold(Drawn::new(), |set, i| {
        let (width, height) = size(i);
        let mut picture = Picture::filled(width, height, [0; 3]);
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let rgb = [x * (i as u32 + 2), y * 5, x * y / 7].map(|value| value as u8);
            picture.set_pixel(x, y, rgb);
        }
        set.picture(&name(i), &picture, &label(i))
    })
}

/// Weights that find something everywhere, with scores of all sizes.
fn write_weights(path: &Path) {
    let spec = ModelSpec::parse("yolov12n", 3).unwrap();
    let model = Yolo12::new(spec, AttentionPath::Flash, Device::Cpu).unwrap();
    model.init(3);
    tch::manual_seed(5);
    no_grad(|| {
        for (name, mut tensor) in model.state_dict() {
            if name.ends_with("conv.weight") && !name.contains("dfl") {
                let fan_in: i64 = tensor.size()[1..].iter().product();
                let gain =
                    if name.contains(".attn.") || name.contains(".mlp.") { 0.7 } else { 3.0 };
                let bound = (gain / fan_in as f64).sqrt();
                let _ = tensor.uniform_(-bound, bound);
            } else if name.contains(".cv3.") && name.ends_with(".2.bias") {
                let values = Tensor::rand(tensor.size(), (Kind::Float, Device::Cpu)) * 2.0 - 2.0;
                tensor.copy_(&values);
            }
        }
    });
    let info = WeightsInfo { model: "yolov12n".into(), names: names(), imgsz: IMGSZ, epoch: 1 };
    weights::write(path, &model.state_dict(), &info).unwrap();
}

/// A place where the trainer runs, on given weights.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_weights(&dir.path().join("w.safetensors"));
        Self { dir }
    }

    /// Runs the trainer into a fresh folder.
    fn run(&self, config: &Config, set: &Drawn, split: &str) -> PathBuf {
        let out = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        let drawn = set.manifest();
        let entries =
            drawn.entries().iter().map(|entry| Entry { split: split.into(), ..entry.clone() });
        let manifest = Manifest::new(entries.collect()).unwrap();
        fs::write(out.join("data.manifest"), manifest.to_string()).unwrap();
        fs::write(out.join("config.yaml"), serde_yaml::to_string(config).unwrap()).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_ytrain"))
            .arg(config.task().name())
            .args(["--no-plots".as_ref(), "--config".as_ref(), out.join("config.yaml").as_os_str()])
            .args(["--manifest".as_ref(), out.join("data.manifest").as_os_str()])
            .args(["--data".as_ref(), set.root().as_os_str()])
            .args(["--out".as_ref(), out.as_os_str()])
            .args(["--weights".as_ref(), self.dir.path().join("w.safetensors").as_os_str()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        out
    }

    fn val(&self, set: &Drawn, settings: ValConfig) -> PathBuf {
        let config = ValConfig {
            model: "yolov12n".into(),
            names: names(),
            imgsz: IMGSZ,
            nms: NMS,
            save_json: true,
            compute: COMPUTE(),
            ..settings
        };
        self.run(&Config::Val(config), set, "val")
    }

    fn predict(&self, set: &Drawn, settings: PredictConfig) -> PathBuf {
        let config = PredictConfig {
            model: "yolov12n".into(),
            names: names(),
            imgsz: IMGSZ,
            nms: NMS,
            save: false,
            save_json: true,
            compute: COMPUTE(),
            ..settings
        };
        self.run(&Config::Predict(config), set, "source")
    }
}

fn read(out: &Path, file: &str) -> Value {
    serde_json::from_slice(&fs::read(out.join(file)).unwrap()).unwrap()
}

fn entries(out: &Path) -> Vec<Value> {
    read(out, "predictions.json").as_array().unwrap().clone()
}

fn bbox(entry: &Value) -> [f64; 4] {
    serde_json::from_value(entry["bbox"].clone()).unwrap()
}

/// Labels near every third box that was found in picture `id`, as lines and as COCO has them.
fn labels(found: &[Value], id: &Value, (width, height): (u32, u32)) -> (String, Vec<Value>) {
    let of_picture = found.iter().filter(|entry| entry["image_id"] == *id);
    let mut lines = String::new();
    let mut truths = Vec::new();
    for (i, entry) in of_picture.enumerate().filter(|(i, _)| i % 3 == 0) {
        let [x, y, w, h] = bbox(entry);
        let (w, h) = (w * (1.0 - 0.03 * (i % 8) as f64), h * (1.0 - 0.02 * (i % 5) as f64));
        if w.min(h) < 2.0 {
            continue;
        }
        let sides = [f64::from(width), f64::from(height)];
        let centre = [(x + w / 2.0) / sides[0], (y + h / 2.0) / sides[1]];
        let category = entry["category_id"].as_u64().unwrap();
        let line = [centre[0], centre[1], w / sides[0], h / sides[1]].map(|v| format!("{v:.6}"));
        lines += &format!("{} {}\n", category - 1, line.join(" "));
        let [cx, cy, w, h] = line.map(|v| v.parse::<f64>().unwrap());
        let bbox =
            [(cx - w / 2.0) * sides[0], (cy - h / 2.0) * sides[1], w * sides[0], h * sides[1]];
        truths.push(json!({
            "image_id": id, "category_id": category, "bbox": bbox,
            "area": bbox[2] * bbox[3], "iscrowd": 0,
        }));
    }
    (lines, truths)
}

/// Names of pictures, and what COCO calls them.
type Naming = (fn(usize) -> String, fn(usize) -> Value);

const NAMINGS: [Naming; 2] = [
    (|i| format!("frame_{i}"), |i| json!(format!("frame_{i}"))),
    (|i| format!("{:012}", 40 * i + 139), |i| json!(40 * i + 139)),
];

#[test]
fn predict_and_val_find_the_same_and_pycocotools_scores_it_the_same() {
    let bench = Bench::new();
    for (name, id) in NAMINGS {
        let plain = set(|_| String::new(), name);
        let predicted = bench.predict(&plain, PredictConfig::default());
        let found = entries(&predicted);
        let labelled: Vec<_> = (0..PICTURES).map(|i| labels(&found, &id(i), size(i))).collect();
        let labelled_set = set(|i| labelled[i].0.clone(), name);
        let validated = bench.val(&labelled_set, ValConfig::default());
        let bytes = |out: &Path| fs::read(out.join("predictions.json")).unwrap();
        assert!(bytes(&predicted) == bytes(&validated), "predict and val find different boxes");

        let metrics = read(&validated, "metrics.json");
        let map = metrics["map50-95"].as_f64().unwrap();
        println!("{} boxes, map50-95 {map}", found.len());
        assert!(found.len() > 100 && (0.05..0.95).contains(&map), "the test says little: {map}");
        let Some(python) = python() else { continue };
        let mut truths: Vec<_> = labelled.into_iter().flat_map(|(_, truths)| truths).collect();
        (1..).zip(&mut truths).for_each(|(i, truth)| truth["id"] = json!(i));
        let images: Vec<_> = (0..PICTURES).map(|i| json!({ "id": id(i) })).collect();
        let categories: Vec<_> = (1..=3).map(|id| json!({ "id": id, "name": "" })).collect();
        let numbers = by_pycocotools(
            &python,
            &json!({
                "truths": { "images": images, "annotations": truths, "categories": categories },
                "results": found,
            }),
        );
        for (key, expected) in [("map50-95", numbers[0]), ("map50", numbers[1])] {
            let ours = metrics[key].as_f64().unwrap();
            assert!((ours - expected).abs() < 1e-6, "{key}: {ours}, by pycocotools {expected}");
        }
    }
}

#[test]
fn classes_are_chosen_or_are_one() {
    let bench = Bench::new();
    let label = |_| "0 0.3 0.3 0.2 0.2\n1 0.6 0.6 0.3 0.3\n2 0.5 0.5 0.9 0.9\n".to_owned();
    let set = set(label, NAMINGS[0].0);
    let categories = |out: &Path| -> BTreeSet<u64> {
        entries(out).iter().map(|entry| entry["category_id"].as_u64().unwrap()).collect()
    };
    let instances = |out: &Path| read(out, "metrics.json")["instances"].as_u64().unwrap();
    let only = vec![0, 2];

    let all = bench.predict(&set, PredictConfig::default());
    assert_eq!(categories(&all), [1, 2, 3].into());
    let chosen = bench.predict(&set, PredictConfig { classes: only.clone(), ..Default::default() });
    let kept = entries(&all).into_iter().filter(|entry| entry["category_id"] != 2);
    // Classes don't compete, so that those chosen find what they found beside the other.
    assert!(entries(&all).len() < 300 * PICTURES);
    assert_eq!(entries(&chosen), kept.collect::<Vec<_>>());

    let chosen = bench.val(&set, ValConfig { classes: only.clone(), ..Default::default() });
    assert_eq!((categories(&chosen), instances(&chosen)), ([1, 3].into(), 2 * PICTURES as u64));
    let single = ValConfig { classes: only, single_cls: true, ..Default::default() };
    let one = bench.val(&set, single);
    assert_eq!((categories(&one), instances(&one)), ([1].into(), 2 * PICTURES as u64));
    assert_eq!(read(&one, "metrics.json")["classes"][0]["name"], "item");
    assert!(entries(&one).len() < entries(&chosen).len(), "boxes compete across classes");
    let one = bench.val(&set, ValConfig { single_cls: true, ..Default::default() });
    assert_eq!(instances(&one), 3 * PICTURES as u64);
}

#[test]
fn every_object_found_is_cropped() {
    let bench = Bench::new();
    let set = set(|_| String::new(), NAMINGS[0].0);
    let settings = PredictConfig { save_crop: true, classes: vec![1], ..Default::default() };
    let out = bench.predict(&set, settings);
    let crops = fs::read_dir(out.join("crops/dog/images")).unwrap().count();
    assert_eq!(crops, entries(&out).len());
    assert!(out.join("crops/dog/images/frame_0.jpg").is_file());
    assert!(out.join("crops/dog/images/frame_02.jpg").is_file());
    assert!(!out.join("crops/cat").exists());
}
