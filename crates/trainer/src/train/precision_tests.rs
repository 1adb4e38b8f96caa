//! Trainings in mixed precision: what they come to, and what an overflow in fp16 costs.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

use std::fs;

use ybox_spec::amp::Amp;
use ybox_spec::config::{AttentionPath, Compute, TrainConfig};
use ybox_spec::events::Epoch;
use ybox_spec::intervention::Action::{RollBack, Skip};
use ybox_spec::intervention::Cause;

use super::fault_tests::{Trained, config, still, train, train_piece};
use super::faults::Fault::{GradientInfinite, LossNan};
use crate::job::StopAfter;

fn fp16(config: TrainConfig) -> TrainConfig {
    TrainConfig { amp: Amp::Fp16, ..config }
}

/// Loss scales after each overflow.
fn scales(trained: &Trained) -> Vec<f64> {
    let notes = trained.notes.iter().filter(|(code, _)| code == "loss-scale");
    notes.map(|(_, text)| text.split(' ').next_back().unwrap().parse().unwrap()).collect()
}

#[test]
fn mixed_precision_trains_to_other_bits_and_to_the_same_ones_again() {
    // Under fp16 the first steps find the scale.
    let weights = |amp| {
        let trained = train(&TrainConfig { amp, ..config(2) }, []);
        trained.is_healthy();
        assert_eq!(trained.acts(), []);
        fs::read(trained.dir.path().join("out/weights/last.safetensors")).unwrap()
    };
    let full = weights(Amp::Off);
    for amp in [Amp::Bf16, Amp::Fp16] {
        let mixed = weights(amp);
        assert!(full != mixed, "{amp:?}");
        assert!(mixed == weights(amp), "{amp:?}");
    }
}

#[test]
fn an_overflow_in_fp16_costs_a_step_and_half_of_the_scale() {
    let compute = Compute { attention: AttentionPath::Safe, ..Compute::default() };
    let config = TrainConfig { compute, ..fp16(config(4)) };
    // After eight of them the scale is so small that nothing overflows by itself.
    let trained = train(&config, (0..8).chain([10]).map(|batch| (batch, GradientInfinite)));
    trained.is_healthy();
    assert_eq!(trained.acts(), []);
    assert_eq!((scales(&trained).len(), trained.steps()), (9, 12 - 9));
    assert_eq!(scales(&trained)[7..], [256.0, 128.0]);
}

#[test]
fn an_overflow_at_every_scale_is_a_fault() {
    let trained = train(&fp16(config(8)), (0..19).map(|batch| (batch, GradientInfinite)));
    trained.is_healthy();
    assert_eq!(trained.actions(), [Skip, Skip, RollBack]);
    let scales = scales(&trained);
    assert_eq!((scales[0], scales[15]), (32768.0, 1.0));
    assert_eq!(scales[16], 32768.0, "it is back to what it was at the start");
}

#[test]
fn a_scale_that_was_found_is_not_looked_for_again_after_a_resumption() {
    // Two batches a step.
    let config = TrainConfig { nbs: 8, warmup_epochs: 0.0, ..fp16(config(4)) };
    let whole = train(&config, []);
    assert!(!scales(&whole).is_empty());
    assert_eq!(scales(&whole).len() + whole.steps(), 6);
    let stop = Some(StopAfter::Steps(1));
    let dir = train_piece(tempfile::tempdir().unwrap(), &config, [], 0, stop).dir;
    let pieces = train_piece(dir, &config, [], 0, None);
    assert_eq!(scales(&pieces), scales(&whole));
    whole.left_the_same_as(&pieces);
}

#[test]
fn a_loss_that_is_not_finite_is_no_matter_of_the_scale() {
    let trained = train(&fp16(config(1)), [(0, LossNan)]);
    trained.is_healthy();
    assert_eq!(trained.acts(), [(Cause::LossNotFinite, Skip)]);
    assert_eq!(scales(&trained)[0], 32768.0);
}

#[test]
fn fp16_learns() {
    let trained = train(&fp16(still(10)), []);
    trained.is_healthy();
    assert_eq!(trained.acts(), []);
    let losses = |epoch: &Epoch| epoch.train.box_loss + epoch.train.cls_loss + epoch.train.dfl_loss;
    let [first, last] = [&trained.epochs[0], &trained.epochs[9]].map(losses);
    assert!(last < 0.7 * first, "{first} {last}");
}
