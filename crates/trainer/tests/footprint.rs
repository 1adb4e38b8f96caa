//! What ybox predicts of a training's memory, from shapes alone, against what libtorch takes: the
//! bytes that forward keeps for backward, and the most that a step holds.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

use tch::Device;
use torch_ext::{Counter, Precision, autocast};
use ybox_spec::config::{AttentionPath, Checkpointing};
use ybox_spec::footprint::{FULL, Network};
use ytrain::loss::{Assigner, DetectionLoss, Gains};
use ytrain::model::{Mode, ModelSpec, Yolo12};
use ytrain::train::{objects, pictures};

const CLASSES: usize = 80;

#[derive(Debug, Clone, Copy)]
struct Case {
    model: &'static str,
    path: AttentionPath,
    precision: Option<Precision>,
    side: i64,
    batch: i64,
}

/// Bytes that forward keeps, and the peak of forward, loss and backward, beside the pictures.
fn measured(case: Case, policy: Checkpointing) -> (i64, i64) {
    let spec = ModelSpec::parse(case.model, CLASSES as i64).unwrap().with_residual_scaling();
    let model = Yolo12::new(spec, case.path, Device::Cpu).unwrap().with_checkpointing(policy);
    model.init(0);
    let loss = DetectionLoss::new(CLASSES, Gains::default(), Assigner::default());
    let images = pictures(case.batch, case.side);
    let targets = objects(case.batch);
    // So that the gradients of the parameters are there already.
    let step = |counter: Option<&Counter>| {
        let forward = || model.forward(&images, Mode::Train);
        let raw = match case.precision {
            Some(precision) => autocast(Device::Cpu, precision, forward).unwrap(),
            None => forward(),
        };
        let kept = counter.map_or(0, |counter| counter.read().unwrap().held);
        loss.compute(&raw, &targets).total.backward();
        kept
    };
    step(None);
    let counter = Counter::begin().unwrap();
    let kept = step(Some(&counter));
    (kept, counter.read().unwrap().peak)
}

fn compare(case: Case) {
    tch::set_num_threads(2);
    let network = Network::parse(case.model, CLASSES as u64, case.path).unwrap();
    let size = if case.precision.is_some() { 2 } else { FULL };
    for policy in Checkpointing::ALL {
        let (kept, peak) = measured(case, policy);
        let foreseen = network.kept(case.side as u64, size, policy);
        let predicted = foreseen.per_picture as i64 * case.batch + foreseen.fixed as i64;
        println!("{case:?} {} kept {kept} predicted {predicted} {:.3}; peak {peak} {:?}", policy.name(), predicted as f64 / kept as f64, foreseen);
    }
}

#[test]
fn what_forward_keeps_is_foreseen() {
    let case = |model, precision, path| Case { model, path, precision, side: 160, batch: 2 };
    for model in ["yolov12n", "yolov12s", "yolov12m"] {
        compare(case(model, None, AttentionPath::Flash));
    }
    compare(case("yolov12n", Some(Precision::Bf16), AttentionPath::Flash));
    compare(case("yolov12n", None, AttentionPath::Safe));
    compare(case("yolov12n", Some(Precision::Bf16), AttentionPath::Safe));
    compare(case("yolo12n", None, AttentionPath::Flash));
}
