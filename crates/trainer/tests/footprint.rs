//! What ybox predicts of a training's memory, from shapes alone, against what libtorch takes: the
//! bytes that forward keeps for backward, and what a step holds at most for each picture.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

use tch::Device;
use torch_ext::{Counter, Precision, autocast};
use ybox_spec::config::{AttentionPath, Checkpointing};
use ybox_spec::footprint::{FULL, Needs, Network};
use ytrain::loss::{Assigner, DetectionLoss, Gains};
use ytrain::model::{Mode, ModelSpec, Yolo12};
use ytrain::train::{objects, pictures};

const CLASSES: usize = 80;
const SIDE: i64 = 160;
/// Enough for what depends on shapes alone, and quick with the large models.
const SMALL_SIDE: i64 = 64;

#[derive(Debug, Clone, Copy)]
struct Case {
    model: &'static str,
    path: AttentionPath,
    precision: Option<Precision>,
    /// Of the pictures.
    side: i64,
}

impl Case {
    fn network(self) -> Network {
        Network::parse(self.model, CLASSES as u64, self.path).unwrap()
    }

    /// Bytes of a number.
    fn size(self) -> u64 {
        if self.precision.is_some() { 2 } else { FULL }
    }
}

/// Bytes that forward keeps, and the peak of forward, loss and backward, beside the pictures, under
/// `policy` with each of `batches`. The weights stay zero: their values take no memory.
fn measured(case: Case, policy: Checkpointing, batches: &[i64]) -> Vec<(i64, i64)> {
    let spec = ModelSpec::parse(case.model, CLASSES as i64).unwrap().with_residual_scaling();
    let model = Yolo12::new(spec, case.path, Device::Cpu).unwrap().with_checkpointing(policy);
    let loss = DetectionLoss::new(CLASSES, Gains::default(), Assigner::default());
    let step = |batch, read: &dyn Fn() -> i64| {
        let images = pictures(batch, case.side);
        let before = read();
        let forward = || model.forward(&images, Mode::Train);
        let raw = match case.precision {
            Some(precision) => autocast(Device::Cpu, precision, forward).unwrap(),
            None => forward(),
        };
        let kept = read() - before;
        loss.compute(&raw, &objects(batch)).total.backward();
        kept
    };
    // The gradients of the parameters are there from here on.
    step(1, &|| 0);
    let one = |&batch: &i64| {
        let counter = Counter::begin().unwrap();
        let kept = step(batch, &|| counter.read().unwrap().held);
        (kept, counter.read().unwrap().peak)
    };
    batches.iter().map(one).collect()
}

fn close(predicted: i64, measured: i64) -> bool {
    (predicted - measured).abs() * 20 <= measured
}

fn kept_is_foreseen(case: Case) {
    tch::set_num_threads(1);
    for policy in Checkpointing::ALL {
        let [(measured, _)] = measured(case, policy, &[2])[..] else { unreachable!() };
        let foreseen = case.network().kept(case.side as u64, case.size(), policy);
        let predicted = (foreseen.per_picture * 2 + foreseen.fixed) as i64;
        assert!(close(predicted, measured), "{case:?} {policy:?}: {predicted} of {measured}");
    }
}

const FLASH: AttentionPath = AttentionPath::Flash;

#[test]
fn what_forward_keeps_is_foreseen_in_every_size() {
    for (model, side) in [
        ("yolov12n", SIDE),
        ("yolov12s", SIDE),
        ("yolov12m", SIDE),
        ("yolov12l", SMALL_SIDE),
        ("yolov12x", SMALL_SIDE),
        ("yolo12n", SIDE),
    ] {
        kept_is_foreseen(Case { model, path: FLASH, precision: None, side });
    }
}

#[test]
fn what_forward_keeps_is_foreseen_in_mixed_precision_and_with_plain_attention() {
    let (model, bf16) = ("yolov12n", Some(Precision::Bf16));
    for (path, precision) in
        [(FLASH, bf16), (AttentionPath::Safe, None), (AttentionPath::Safe, bf16)]
    {
        kept_is_foreseen(Case { model, path, precision, side: SIDE });
    }
}

/// What does not grow with the batch, such as the gradient of the largest weight, is not in this: so
/// small a step in bf16 is ruled by it where all but weights runs again.
#[test]
fn what_each_picture_takes_at_most_is_foreseen() {
    tch::set_num_threads(1);
    let all = &Checkpointing::ALL[..];
    for (precision, policies) in [(None, all), (Some(Precision::Bf16), &all[..3])] {
        let case = Case { model: "yolov12n", path: FLASH, precision, side: SIDE };
        for &policy in policies {
            each_picture_is_foreseen(case, policy, [4, 8]);
        }
    }
}

/// Here it is a part that runs again which takes most, and a larger step that is ruled by maps.
#[test]
fn what_each_picture_takes_where_a_part_runs_again_is_foreseen() {
    tch::set_num_threads(1);
    let case = Case { model: "yolov12s", path: FLASH, precision: None, side: SIDE };
    each_picture_is_foreseen(case, Checkpointing::Layer, [16, 20]);
}

fn each_picture_is_foreseen(case: Case, policy: Checkpointing, [small, large]: [i64; 2]) {
    let [(_, first), (_, second)] = measured(case, policy, &[small, large])[..] else {
        unreachable!()
    };
    let needs = Needs::of(&case.network(), case.side as u64, case.size(), policy);
    let (predicted, found) = (needs.per_picture as i64, (second - first) / (large - small));
    assert!(close(predicted, found), "{case:?} {policy:?}: {predicted} of {found}");
}
