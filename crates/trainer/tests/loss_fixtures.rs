//! The loss against values of both reference implementations, where their files are at hand.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};
use ytrain::anchors::make_anchors;
use ytrain::loss::assigner::Assignment;
use ytrain::loss::{Assigner, DetectionLoss, Gains, MinSide, Targets};

type Fixture = HashMap<String, Tensor>;

/// `None`, and a line that says so, where the fixtures are absent.
fn fixture(name: &str) -> Option<Fixture> {
    let path: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/fixtures").join(name);
    if !path.exists() {
        println!("skipped: no {}", path.display());
        return None;
    }
    Some(Tensor::read_safetensors(path).unwrap().into_iter().collect())
}

fn integers(tensor: &Tensor) -> Vec<i64> {
    Vec::try_from(tensor.to_kind(Kind::Int64).flatten(0, -1)).unwrap()
}

/// Largest absolute difference.
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    if a.numel() == 0 { 0. } else { (a - b).abs().max().double_value(&[]) }
}

/// Largest absolute difference as a share of the largest value.
fn relative(a: &Tensor, b: &Tensor) -> f64 {
    distance(a, b) / b.abs().max().double_value(&[]).max(f64::MIN_POSITIVE)
}

fn assigner(min_side: MinSide) -> Assigner {
    Assigner { min_side, ..Assigner::default() }
}

/// Compares one picture's assignment with the dense tensors `<prefix>.*` of `expected`.
fn check_assignment(found: &Assignment, labels: &Tensor, expected: &Fixture, prefix: &str, i: i64) {
    let of = |name: &str| expected[&format!("{prefix}.{name}")].get(i);
    let anchors = of("fg_mask").nonzero().squeeze_dim(1);
    assert_eq!(integers(&found.anchors), integers(&anchors), "{prefix} picture {i}");
    let at = |name: &str| integers(&of(name).index_select(0, &anchors));
    assert_eq!(integers(&found.boxes), at("target_gt_idx"), "{prefix} picture {i}");
    let classes = labels.index_select(0, &found.boxes);
    assert_eq!(integers(&classes), at("target_labels"), "{prefix} picture {i}");
    let scores = of("target_scores");
    let dense = scores.zeros_like().index_put(
        &[Some(&found.anchors), Some(&classes)],
        &found.scores,
        false,
    );
    let error = distance(&dense, &scores);
    println!("{prefix} picture {i}: {} points, scores within {error:e}", anchors.size()[0]);
    assert!(error < 1e-5, "{prefix} picture {i}: {error}");
}

#[test]
fn assigns_like_both_references() {
    let Some(data) = fixture("tal.safetensors") else { return };
    for (prefix, min_side) in [("min16", MinSide::Pixels(16.)), ("nomin", MinSide::Any)] {
        for i in 0..2 {
            let rows = data["mask_gt"].get(i).squeeze_dim(1).nonzero().squeeze_dim(1);
            let labels = data["gt_labels"].get(i).squeeze_dim(1).index_select(0, &rows);
            let labels = labels.to_kind(Kind::Int64);
            let truths = data["gt_bboxes"].get(i).index_select(0, &rows);
            let found = assigner(min_side).assign(
                &data["pd_scores"].get(i),
                &data["pd_bboxes"].get(i),
                &data["anchors_px"],
                &labels,
                &truths,
            );
            check_assignment(&found, &labels, &data, prefix, i);
        }
    }
}

#[test]
fn makes_the_anchors_of_the_references() {
    let Some(data) = fixture("tal.safetensors") else { return };
    let anchors = make_anchors(&[(12, 20), (6, 10), (3, 5)], &[8, 16, 32], Device::Cpu);
    assert_eq!(distance(&anchors.pixels(), &data["anchors_px"]), 0.);
}

const IMPLEMENTATIONS: [(&str, MinSide); 2] =
    [("ultra", MinSide::Pixels(16.)), ("sun", MinSide::Any)];

#[test]
fn losses_and_gradients_equal_both_references() {
    for (name, min_side) in IMPLEMENTATIONS {
        let Some(data) = fixture(&format!("{name}_n_nc3.loss.safetensors")) else { return };
        for case in ["main", "second_image_empty", "no_boxes"] {
            check_loss(&data, name, case, min_side);
        }
    }
}

fn check_loss(data: &Fixture, name: &str, case: &str, min_side: MinSide) {
    let of = |key: &str| &data[&format!("{case}.{key}")];
    let raw: [Tensor; 3] =
        [0, 1, 2].map(|i| data[&format!("train_raw{i}")].copy().set_requires_grad(true));
    let targets = Targets {
        batch_idx: of("batch_idx").to_kind(Kind::Int64),
        cls: of("cls").to_kind(Kind::Int64).flatten(0, -1),
        boxes: of("bboxes").shallow_clone(),
    };
    let loss = DetectionLoss::new(3, Gains::default(), assigner(min_side));
    let output = loss.compute(&raw, &targets);
    output.total.backward();

    let items = distance(&output.items, of("loss_items"));
    let sum = relative(&output.total.detach().view([1]), of("loss_sum"));
    println!("{name} {case}: items within {items:e}, sum within {sum:e} of itself");
    assert!(items < 1e-5 * of("loss_items").max().double_value(&[]) && sum < 1e-5);
    for (i, map) in raw.iter().enumerate() {
        let expected = of(&format!("grad_raw{i}"));
        let (error, share) = (distance(&map.grad(), expected), relative(&map.grad(), expected));
        println!("{name} {case}: gradient {i} within {error:e}, {share:e} of its largest");
        assert!(share < 1e-4, "{name} {case} gradient {i}: {share}");
    }
}

#[test]
fn the_assignment_within_the_loss_equals_both_references() {
    for (name, min_side) in IMPLEMENTATIONS {
        let Some(data) = fixture(&format!("{name}_n_nc3.loss.safetensors")) else { return };
        let size = Tensor::from_slice(&[160f32, 96., 160., 96.]);
        for i in 0..2 {
            let rows = data["main.batch_idx"].eq(i).nonzero().squeeze_dim(1);
            let labels = data["main.cls"].flatten(0, -1).index_select(0, &rows);
            let labels = labels.to_kind(Kind::Int64);
            let truths = ytrain::loss::boxes::cxcywh_to_xyxy(
                &(data["main.bboxes"].index_select(0, &rows) * &size),
            );
            let points =
                make_anchors(&[(12, 20), (6, 10), (3, 5)], &[8, 16, 32], Device::Cpu).pixels();
            let found = assigner(min_side).assign(
                &data["main.assign.in_pd_scores"].get(i),
                &data["main.assign.in_pd_bboxes"].get(i),
                &points,
                &labels,
                &truths,
            );
            check_assignment(&found, &labels, &data, "main.assign", i);
        }
    }
}
