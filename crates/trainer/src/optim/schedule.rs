//! Learning rates, momentum and accumulation as functions of the iteration, and the optimizer that
//! `auto` stands for. Applying them is left to the optimizer and the training loop.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use ybox_spec::config::{OptimizerChoice, TrainConfig};

/// From more steps than this on, `auto` takes SGD.
const AUTO_STEPS: u64 = 10_000;

/// AdamW's, in force throughout.
pub(super) const BETA2: f64 = 0.999;

/// A warm-up lasts at least this many iterations.
const WARMUP_ITERATIONS: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Sgd,
    AdamW,
}

impl Algorithm {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgd => "SGD",
            Self::AdamW => "AdamW",
        }
    }
}

/// What is in force at one iteration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Learning rates by [`super::Group`].
    pub lr: [f64; 3],
    /// SGD's momentum, or AdamW's beta1.
    pub momentum: f64,
    /// Of weights; nothing else decays.
    pub weight_decay: f64,
    /// Batches whose gradients are summed before a step.
    pub accumulate: u32,
}

/// How large the task is.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Pictures per epoch.
    pub images: u64,
    /// Batches per epoch.
    pub batches: u64,
    pub classes: u32,
}

/// The settings in force once `auto` is settled and everything is scaled.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    pub algorithm: Algorithm,
    pub lr: f64,
    pub lrf: f64,
    pub cosine: bool,
    pub momentum: f64,
    /// Scaled to the pictures per step.
    pub weight_decay: f64,
    /// Batches per step after the warm-up.
    pub accumulate: u32,
    pub warmup_iterations: u64,
    pub warmup_momentum: f64,
    pub warmup_bias_lr: f64,
}

impl Effective {
    /// For the event that says what is really in force.
    pub fn values(&self) -> Map<String, Value> {
        let mut values = Map::new();
        let mut put = |key: &str, value: Value| drop(values.insert(key.into(), value));
        put("optimizer", json!(self.algorithm.name()));
        put("lr", json!(self.lr));
        put("lrf", json!(self.lrf));
        put("decay", json!(if self.cosine { "cosine" } else { "linear" }));
        put("momentum", json!(self.momentum));
        if self.algorithm == Algorithm::AdamW {
            put("beta2", json!(BETA2));
        }
        put("weight_decay", json!(self.weight_decay));
        put("accumulate", json!(self.accumulate));
        put("warmup_iterations", json!(self.warmup_iterations));
        put("warmup_momentum", json!(self.warmup_momentum));
        put("warmup_bias_lr", json!(self.warmup_bias_lr));
        values
    }
}

#[derive(Debug, Clone)]
pub struct Schedule {
    effective: Effective,
    batches: u64,
    epochs: u32,
    /// Batches whose pictures make the nominal batch.
    nominal: f64,
}

impl Schedule {
    pub fn new(config: &TrainConfig, extent: Extent) -> Self {
        let nominal = f64::from(config.nbs) / f64::from(config.batch);
        Self {
            effective: settle(config, extent, nominal),
            batches: extent.batches,
            epochs: config.epochs,
            nominal,
        }
    }

    pub fn effective(&self) -> &Effective {
        &self.effective
    }

    /// What is in force for the batch number `batch` of `epoch`, both from 0.
    pub fn at(&self, epoch: u32, batch: u64) -> Rates {
        let e = &self.effective;
        let lr = e.lr * self.decay(epoch);
        let steady = Rates {
            lr: [lr; 3],
            momentum: e.momentum,
            weight_decay: e.weight_decay,
            accumulate: e.accumulate,
        };
        let iteration = u64::from(epoch) * self.batches + batch;
        if iteration >= e.warmup_iterations {
            return steady;
        }
        self.warming(iteration as f64 / e.warmup_iterations as f64, steady)
    }

    /// Within the warm-up, `share` of it done: everything moves in a line from its start to what
    /// the schedule says.
    fn warming(&self, share: f64, steady: Rates) -> Rates {
        let e = &self.effective;
        let between = |start: f64, end: f64| start + (end - start) * share;
        let accumulate = between(1., self.nominal).round_ties_even().max(1.);
        let lr = between(0., steady.lr[0]);
        Rates {
            lr: [lr, lr, between(e.warmup_bias_lr, steady.lr[0])],
            // The betas of AdamW are not warmed up.
            momentum: match e.algorithm {
                Algorithm::Sgd => between(e.warmup_momentum, e.momentum),
                Algorithm::AdamW => e.momentum,
            },
            accumulate: accumulate as u32,
            ..steady
        }
    }

    /// Share of the first learning rate that `epoch` gets: 1 at the start, towards `lrf` at the
    /// end, in a line or a half cosine.
    fn decay(&self, epoch: u32) -> f64 {
        let Effective { lrf, cosine, .. } = self.effective;
        let done = f64::from(epoch) / f64::from(self.epochs);
        let left = if cosine { (1. + libm::cos(PI * done)) / 2. } else { 1. - done };
        left.max(0.) * (1. - lrf) + lrf
    }
}

fn settle(config: &TrainConfig, extent: Extent, nominal: f64) -> Effective {
    let accumulate = nominal.round_ties_even().max(1.);
    let choice = choose(config, extent);
    let scale = f64::from(config.batch) * accumulate / f64::from(config.nbs);
    Effective {
        algorithm: choice.algorithm,
        lr: choice.lr,
        lrf: config.lrf,
        cosine: config.cos_lr,
        momentum: choice.momentum,
        weight_decay: config.weight_decay * scale,
        accumulate: accumulate as u32,
        warmup_iterations: warmup_iterations(config.warmup_epochs, extent.batches),
        warmup_momentum: config.warmup_momentum,
        warmup_bias_lr: choice.warmup_bias_lr,
    }
}

struct Choice {
    algorithm: Algorithm,
    lr: f64,
    momentum: f64,
    warmup_bias_lr: f64,
}

/// `auto` brings its own learning rate and momentum; a named optimizer takes the configured ones.
fn choose(config: &TrainConfig, extent: Extent) -> Choice {
    let (lr, momentum, warmup_bias_lr) = (config.lr0, config.momentum, config.warmup_bias_lr);
    let auto = |algorithm, lr| Choice { algorithm, lr, momentum: 0.9, warmup_bias_lr: 0. };
    match config.optimizer {
        OptimizerChoice::Sgd => Choice { algorithm: Algorithm::Sgd, lr, momentum, warmup_bias_lr },
        OptimizerChoice::AdamW => {
            Choice { algorithm: Algorithm::AdamW, lr, momentum, warmup_bias_lr }
        }
        OptimizerChoice::Auto if steps(config, extent) > AUTO_STEPS => auto(Algorithm::Sgd, 0.01),
        OptimizerChoice::Auto => auto(Algorithm::AdamW, small_lr(extent.classes)),
    }
}

/// Steps of the whole run with at least the nominal batch each.
fn steps(config: &TrainConfig, extent: Extent) -> u64 {
    let per_step = u64::from(config.batch.max(config.nbs));
    extent.images.div_ceil(per_step) * u64::from(config.epochs)
}

/// 0.002 * 5 / (4 + classes), to six decimals.
fn small_lr(classes: u32) -> f64 {
    let lr = 0.002 * 5. / (4. + f64::from(classes));
    // Through text, because that rounds the exact value; scaling by 1e6 first would not.
    format!("{lr:.6}").parse().expect("a formatted number is a number")
}

fn warmup_iterations(epochs: f64, batches: u64) -> u64 {
    if epochs == 0. {
        return 0;
    }
    ((epochs * batches as f64).round_ties_even() as u64).max(WARMUP_ITERATIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Extent = Extent { images: 205, batches: 13, classes: 3 };

    /// COCO with the authors' batch of 256: 118287 pictures.
    const LARGE: Extent = Extent { images: 118_287, batches: 463, classes: 80 };

    fn sgd() -> TrainConfig {
        TrainConfig { optimizer: OptimizerChoice::Sgd, ..Default::default() }
    }

    fn authors() -> Schedule {
        Schedule::new(&TrainConfig { epochs: 600, batch: 256, ..Default::default() }, LARGE)
    }

    #[track_caller]
    fn near(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1e-3), "{a} is not {b}");
    }

    #[test]
    fn auto_takes_adamw_for_short_runs_with_a_rate_by_classes() {
        for (classes, lr) in
            [(1, 0.002), (3, 0.001_429), (20, 0.000_417), (28, 0.000_313), (80, 0.000_119)]
        {
            let schedule = Schedule::new(&TrainConfig::default(), Extent { classes, ..SMALL });
            let e = schedule.effective();
            assert_eq!((e.algorithm, e.lr, e.momentum), (Algorithm::AdamW, lr, 0.9));
            assert_eq!(e.warmup_bias_lr, 0.);
        }
    }

    #[test]
    fn auto_takes_sgd_beyond_ten_thousand_steps() {
        let config = TrainConfig { batch: 64, epochs: 100, ..Default::default() };
        let with = |images| Schedule::new(&config, Extent { images, ..SMALL });
        assert_eq!(with(6400).effective().algorithm, Algorithm::AdamW);
        let e = with(6401).effective().clone();
        assert_eq!(
            (e.algorithm, e.lr, e.momentum, e.warmup_bias_lr),
            (Algorithm::Sgd, 0.01, 0.9, 0.)
        );
    }

    #[test]
    fn a_named_optimizer_takes_the_configured_rates() {
        let schedule = Schedule::new(&sgd(), SMALL);
        let e = schedule.effective();
        assert_eq!((e.lr, e.momentum, e.warmup_bias_lr), (0.01, 0.937, 0.1));
    }

    #[test]
    fn weight_decay_follows_the_pictures_per_step() {
        for (batch, accumulate, decay) in [
            (1, 64, 0.0005),
            (16, 4, 0.0005),
            (24, 3, 0.000_562_5),
            (64, 1, 0.0005),
            (256, 1, 0.002),
        ] {
            let schedule = Schedule::new(&TrainConfig { batch, ..sgd() }, SMALL);
            assert_eq!(schedule.effective().accumulate, accumulate, "batch {batch}");
            near(schedule.effective().weight_decay, decay);
        }
    }

    #[test]
    fn the_linear_decay_is_that_of_the_published_logs() {
        let rate = |epoch: u32| authors().at(epoch - 1, 462).lr[0];
        near(rate(4), 0.009_950_5);
        near(rate(600), 0.000_116_5);
    }

    #[test]
    fn the_cosine_decay_is_half_way_in_the_middle() {
        let config = TrainConfig { cos_lr: true, warmup_epochs: 0., ..sgd() };
        let schedule = Schedule::new(&config, SMALL);
        near(schedule.at(0, 0).lr[0], 0.01);
        near(schedule.at(50, 0).lr[0], 0.01 * 0.505);
        assert!(schedule.at(25, 0).lr[0] > 0.0085);
        assert!(schedule.at(99, 0).lr[0] < 0.000_11);
    }

    #[test]
    fn a_warmup_lasts_three_epochs_or_a_hundred_iterations() {
        for (epochs, batches, iterations) in
            [(3., 463, 1389), (3., 13, 100), (0., 463, 0), (0.5, 1000, 500)]
        {
            assert_eq!(warmup_iterations(epochs, batches), iterations);
        }
    }

    #[test]
    fn a_warmup_raises_rates_momentum_and_accumulation_in_lines() {
        let schedule = Schedule::new(&sgd(), SMALL);
        let first = schedule.at(0, 0);
        assert_eq!(first.lr, [0., 0., 0.1]);
        assert_eq!((first.momentum, first.accumulate), (0.8, 1));
        // Iteration 50 of 100, in epoch 3: the target is that epoch's rate.
        let middle = schedule.at(3, 11);
        let target = 0.01 * (0.97 * 0.99 + 0.01);
        near(middle.lr[0], target / 2.);
        near(middle.lr[1], target / 2.);
        near(middle.lr[2], (0.1 + target) / 2.);
        near(middle.momentum, 0.8685);
        assert_eq!(middle.accumulate, 2);
        let after = schedule.at(7, 9);
        near(after.lr[2], 0.01 * (0.93 * 0.99 + 0.01));
        assert_eq!((after.momentum, after.accumulate), (0.937, 4));
    }

    #[test]
    fn a_warmup_leaves_the_betas_alone() {
        let config = TrainConfig { optimizer: OptimizerChoice::AdamW, ..Default::default() };
        assert_eq!(Schedule::new(&config, SMALL).at(0, 0).momentum, 0.937);
    }

    #[test]
    fn without_a_warmup_the_first_batch_has_the_full_rate() {
        let schedule = Schedule::new(&TrainConfig { warmup_epochs: 0., ..sgd() }, SMALL);
        assert_eq!(schedule.at(0, 0).lr, [0.01; 3]);
        assert_eq!(schedule.at(0, 0).accumulate, 4);
    }

    #[test]
    fn says_what_is_in_force() {
        let values = authors().effective().values();
        assert_eq!(values["optimizer"], "SGD");
        assert_eq!(values["weight_decay"], 0.002);
        assert!(!values.contains_key("beta2"));
    }
}
