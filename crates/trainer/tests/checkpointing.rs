//! Checkpointing changes memory and time, never a bit: losses, gradients and running statistics
//! after several steps are those of a training that keeps everything, in fp32 and in mixed precision.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

use tch::{Device, Kind, Tensor, no_grad};
use torch_ext::Precision::{self, Bf16, Fp16};
use torch_ext::autocast;
use ybox_spec::config::{AttentionPath, Checkpointing};
use ytrain::loss::{Assigner, DetectionLoss, Gains, Targets};
use ytrain::model::{Mode, ModelSpec, Yolo12};

const CLASSES: usize = 3;

/// Name and bits of every value that a training leaves behind.
type Bits = Vec<(String, Vec<f32>)>;

/// `images` pictures of waves.
fn pictures(images: i64, [height, width]: [i64; 2], step: i64) -> Tensor {
    let values = Tensor::arange(images * 3 * height * width, (Kind::Double, Device::Cpu));
    let waves = (values * 0.37 + step as f64).sin() / 2 + 0.5;
    waves.view([images, 3, height, width]).to_kind(Kind::Float)
}

/// Two objects in each picture.
fn objects(images: i64) -> Targets {
    let places: Vec<i64> = (0..2 * images).map(|i| i / 2).collect();
    let boxes: Vec<f32> = (0..2 * images)
        .flat_map(|i| [0.3 + 0.4 * (i % 2) as f32, 0.5, 0.4, 0.2 + 0.1 * i as f32])
        .collect();
    Targets {
        cls: Tensor::from_slice(&places.iter().map(|i| i % 3).collect::<Vec<_>>()),
        batch_idx: Tensor::from_slice(&places),
        boxes: Tensor::from_slice(&boxes).view([-1, 4]),
    }
}

fn bits(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.detach().to_kind(Kind::Float).flatten(0, -1)).unwrap()
}

#[derive(Debug, Clone, Copy)]
struct Trained {
    name: &'static str,
    steps: i64,
    /// Height, width.
    size: [i64; 2],
    /// What forward is cast to.
    precision: Option<Precision>,
}

/// Trains by plain gradient descent; gradients of two batches, one smaller than the other, are added
/// up before each step.
fn train(trained: Trained, policy: Checkpointing) -> Bits {
    let Trained { name, steps, size, precision } = trained;
    // One, so that a busy machine does not make the threads wait for each other.
    tch::set_num_threads(1);
    let spec = ModelSpec::parse(name, CLASSES as i64).unwrap();
    let model = Yolo12::new(spec, AttentionPath::Flash, Device::Cpu).unwrap();
    model.init(7);
    let model = model.with_checkpointing(policy);
    let loss = DetectionLoss::new(CLASSES, Gains::default(), Assigner::default());
    let mut found = Bits::new();
    for step in 0..steps {
        for batch in 0..2 {
            let images = 2 - batch;
            let pictures = pictures(images, size, 2 * step + batch);
            let forward = || model.forward(&pictures, Mode::Train);
            let raw = match precision {
                Some(precision) => autocast(Device::Cpu, precision, forward).unwrap(),
                None => forward(),
            };
            let loss = loss.compute(&raw, &objects(images));
            loss.total.backward();
            found.push((format!("loss {step}.{batch}"), bits(&loss.items)));
        }
        for mut parameter in model.parameters() {
            let gradient = parameter.tensor.grad();
            found.push((format!("gradient {step} {}", parameter.name), bits(&gradient)));
            let _ = no_grad(|| parameter.tensor.g_sub_(&(gradient * 1e-3)));
            parameter.tensor.zero_grad();
        }
    }
    let state = model.state_dict();
    found.extend(state.iter().map(|(name, tensor)| (name.clone(), bits(tensor))));
    found
}

fn assert_same_bits(trained: Trained, policies: &[Checkpointing]) {
    let expected = train(trained, Checkpointing::None);
    assert!(expected.iter().flat_map(|(_, values)| values).all(|value| value.is_finite()));
    for policy in policies {
        let found = train(trained, *policy);
        assert_eq!(found.len(), expected.len());
        let differing: Vec<&str> = expected
            .iter()
            .zip(&found)
            .filter(|((_, expected), (_, found))| {
                !expected.iter().map(|v| v.to_bits()).eq(found.iter().map(|v| v.to_bits()))
            })
            .map(|((what, _), _)| what.as_str())
            .collect();
        assert!(differing.is_empty(), "{trained:?} with {}: {differing:?} differ", policy.name());
    }
}

/// The smallest rectangles: maps of one row and of one column of cells.
#[test]
fn rectangles_train_to_the_same_bits_under_every_policy() {
    for size in [[32, 64], [96, 32]] {
        let trained = Trained { name: "yolov12n", steps: 2, size, precision: None };
        assert_same_bits(trained, &Checkpointing::ALL[1..]);
    }
}

#[test]
fn yolov12n_trains_to_the_same_bits_under_every_policy() {
    let trained = Trained { name: "yolov12n", steps: 5, size: [64, 64], precision: None };
    assert_same_bits(trained, &Checkpointing::ALL[1..]);
}

#[test]
fn yolov12n_trains_to_the_same_bits_in_mixed_precision_again_and_under_every_policy() {
    for precision in [Bf16, Fp16] {
        let trained =
            Trained { name: "yolov12n", steps: 3, size: [64, 64], precision: Some(precision) };
        assert_same_bits(trained, &Checkpointing::ALL);
    }
}

/// Summed over the components: single ones follow which cells are assigned, which a rounding can
/// change.
#[test]
fn losses_in_mixed_precision_are_close_to_those_in_fp32() {
    let losses = |precision| {
        let trained = Trained { name: "yolov12n", steps: 3, size: [128, 128], precision };
        let found = train(trained, Checkpointing::None).into_iter();
        let losses = found.filter(|(name, _)| name.starts_with("loss"));
        losses.map(|(_, values)| values.iter().sum::<f32>()).collect::<Vec<_>>()
    };
    let full = losses(None);
    for precision in [Bf16, Fp16] {
        let short = losses(Some(precision));
        assert_eq!(short.len(), 3 * 2);
        assert_ne!(short, full);
        for (a, b) in short.iter().zip(&full) {
            assert!((a - b).abs() < 0.02 * b, "{precision:?}: {short:?} {full:?}");
        }
    }
}

#[test]
fn yolo12n_trains_to_the_same_bits_under_every_policy() {
    let trained = Trained { name: "yolo12n", steps: 5, size: [64, 64], precision: None };
    assert_same_bits(trained, &Checkpointing::ALL[1..]);
}

#[test]
fn yolov12l_trains_to_the_same_bits_with_all_of_it_checkpointed() {
    let trained = Trained { name: "yolov12l", steps: 1, size: [64, 64], precision: None };
    assert_same_bits(trained, &[Checkpointing::LayerHead]);
}
