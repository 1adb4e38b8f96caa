//! Exported graphs in ONNX Runtime, against our own forward pass, where `scripts/oracle-venv.sh`
//! was run; and what must hold of the bytes in any case.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;
use tch::{Device, Kind, Tensor, no_grad};
use ybox_spec::config::{AttentionPath, ExportConfig};
use ytrain::eval::nms::{Detection, Labels, Nms, suppress};
use ytrain::export::to_onnx;
use ytrain::model::{Mode, ModelSpec, STRIDES, Yolo12, decode};

const NAMES: [&str; 3] = ["a cat", "l'\"été", "back\\slash"];

fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/oracle-venv/bin/python");
    let probe = || Command::new(&python).args(["-c", "import onnx, onnxruntime"]).output();
    if python.exists() && probe().is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    println!("skipped: no onnxruntime in {}; scripts/oracle-venv.sh makes it", python.display());
    None
}

fn random(len: i64, seed: &str, low: f32, high: f32) -> Tensor {
    let key = seed.bytes().fold(1u64, |key, byte| key.wrapping_mul(31) + u64::from(byte));
    let mut random = ChaCha8Rng::seed_from_u64(key);
    let unit = |word: u32| (word >> 8) as f32 / (1 << 24) as f32;
    let values: Vec<f32> = (0..len).map(|_| low + (high - low) * unit(random.next_u32())).collect();
    Tensor::from_slice(&values)
}

/// A model in which every tensor counts: statistics that are not 0 and 1, scores that are not 0.
fn model(name: &str) -> Yolo12 {
    let spec = ModelSpec::parse(name, NAMES.len() as i64).unwrap();
    let model = Yolo12::new(spec, AttentionPath::Safe, Device::Cpu).unwrap();
    model.init(3);
    let state: Vec<_> = model
        .named_tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let (low, high) = match &name {
                n if n.ends_with("running_var") => (0.8, 1.2),
                n if n.ends_with("bn.weight") => (0.9, 1.1),
                n if n.ends_with("running_mean") || n.ends_with("bn.bias") => (-0.1, 0.1),
                n if n.ends_with("gamma") => (0.25, 0.75),
                n if n.contains(".cv3.") && n.ends_with(".2.bias") => (-1.5, 0.5),
                n if n.contains("conv.weight") && !n.contains("dfl") => {
                    let fan_in: i64 = tensor.size()[1..].iter().product();
                    // Larger ones make attention so sharp that rounding decides.
                    let gain = if n.contains(".attn.") || n.contains(".mlp.") { 0.7 } else { 3.0 };
                    let bound = (gain / fan_in as f32).sqrt();
                    (-bound, bound)
                }
                _ => return (name, tensor),
            };
            let values = random(tensor.numel() as i64, &name, low, high).view_as(&tensor);
            (name, values)
        })
        .collect();
    model.load_state_dict(&state).unwrap();
    model
}

fn config(name: &str, imgsz: u32, suppress: bool) -> ExportConfig {
    let names = NAMES.map(str::to_owned).into();
    ExportConfig { model: name.into(), names, imgsz, suppress, ..Default::default() }
}

struct Ran {
    values: Vec<f32>,
    said: Value,
}

/// Exports, checks and runs the graph.
fn run(python: &Path, model: &Yolo12, config: &ExportConfig, images: &Tensor) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let [onnx, input, output] = ["m.onnx", "in.raw", "out.raw"].map(|file| dir.path().join(file));
    let started = Instant::now();
    let exported = to_onnx(model, config).unwrap();
    fs::write(&onnx, &exported.bytes).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    fs::write(&input, bytes(images)).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx_oracle.py");
    let done = Command::new(python)
        .arg(script)
        .args([onnx.as_path(), &input])
        .arg(config.imgsz.to_string())
        .arg(&output)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    println!(
        "{} {}: {} bytes, exported in {seconds:.2} s, run in {:.1} ms",
        config.model,
        config.imgsz,
        exported.bytes.len(),
        said["ms"].as_f64().unwrap()
    );
    assert_eq!(said["shape"], serde_json::json!(exported.output));
    let raw = fs::read(output).unwrap();
    let values = raw.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    Ran { values, said }
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let values = Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn images(side: i64) -> Tensor {
    random(3 * side * side, "images", 0.0, 1.0).view([1, 3, side, side])
}

fn own(model: &Yolo12, images: &Tensor) -> Vec<f32> {
    let raw = no_grad(|| model.forward(images, Mode::Eval));
    Vec::<f32>::try_from(decode(&raw, STRIDES).flatten(0, -1).to_kind(Kind::Float)).unwrap()
}

/// Scores within 1e-4, pixels within 1e-4 of the larger of themselves and one pixel.
fn assert_predictions(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let cells = expected.len() / (4 + NAMES.len());
    let mut worst = [0f32; 3];
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs();
        let pixels = i < 4 * cells;
        let allowed = if pixels { 1e-4 * expected.abs().max(1.0) } else { 1e-4 };
        assert!(difference <= allowed, "{i}: {found}, not {expected}");
        let slot = if pixels { 0 } else { 1 };
        worst[slot] = worst[slot].max(difference);
        if pixels {
            worst[2] = worst[2].max(difference / expected.abs().max(1.0));
        }
    }
    let [pixels, scores, relative] = worst;
    println!(
        "  largest difference: {pixels:.2e} pixels ({relative:.2e} relative), score {scores:.2e}"
    );
}

fn predictions_match(name: &str, side: u32) {
    let Some(python) = python() else { return };
    let (model, images) = (model(name), images(i64::from(side)));
    let ran = run(&python, &model, &config(name, side, false), &images);
    assert_predictions(&ran.values, &own(&model, &images));
    let names: Vec<_> = (0..).zip(NAMES).map(|(i, name)| serde_json::json!([i, name])).collect();
    assert_eq!(ran.said["names"], Value::from(names));
    assert_eq!(ran.said["metadata"]["imgsz"], format!("[{side}, {side}]"));
    assert_eq!(ran.said["metadata"]["stride"], "32");
}

#[test]
fn turbo_n_predicts_the_same() {
    predictions_match("yolov12n", 640);
}

#[test]
fn v1_n_predicts_the_same() {
    predictions_match("yolo12n", 320);
}

#[test]
fn turbo_m_predicts_the_same() {
    predictions_match("yolov12m", 64);
}

#[test]
fn models_with_gamma_predict_the_same() {
    predictions_match("yolov12l", 128);
    predictions_match("yolo12l", 128);
}

fn row(d: &Detection) -> [f32; 6] {
    let [left, top, right, bottom] = d.bbox;
    [left, top, right, bottom, d.score, d.class as f32]
}

#[test]
fn suppression_in_the_graph_keeps_the_same_boxes() {
    let Some(python) = python() else { return };
    let (model, images) = (model("yolov12n"), images(160));
    let decoded = own(&model, &images);
    for (conf, max_det) in [(0.25, 300), (0.4, 20), (0.999, 7)] {
        let mut config = config("yolov12n", 160, true);
        (config.nms.conf, config.nms.max_det) = (conf, max_det);
        let ran = run(&python, &model, &config, &images);
        let expected = suppress(&decoded, NAMES.len(), &Nms::new(&config.nms, Labels::Every));
        println!("  conf {conf}: {} boxes", expected.len());
        assert_eq!(ran.values.len(), 6 * max_det as usize);
        assert_eq!(expected.is_empty(), conf > 0.9);
        let rows: Vec<&[f32]> = ran.values.chunks_exact(6).collect();
        let (kept, rest) = rows.split_at(expected.len());
        assert!(kept.is_sorted_by(|a, b| a[4] >= b[4]) && rest.iter().all(|row| *row == [0.0; 6]));
        // Not in the same order: two scores may differ by less than rounding.
        for expected in &expected {
            let near = |(a, b): (&f32, f32)| (a - b).abs() <= 1e-4 * b.abs().max(1.0);
            let same = |found: &&[f32]| found.iter().zip(row(expected)).all(near);
            assert!(kept.iter().any(same), "{expected:?} is missing");
        }
    }
}

#[test]
fn the_bytes_follow_from_weights_and_config() {
    let bytes = |model: &Yolo12, config| to_onnx(model, config).unwrap().bytes;
    let (first, again) = (model("yolov12n"), model("yolov12n"));
    let config = config("yolov12n", 64, true);
    assert_eq!(bytes(&first, &config), bytes(&again, &config));
    again.init(9);
    assert_ne!(bytes(&first, &config), bytes(&again, &config));
}
