//! Trainings that something goes wrong in, from the first batch to the files they leave.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use ybox_spec::Digest;
use ybox_spec::amp::Amp;
use ybox_spec::config::{
    AttentionPath, AutoCheckpointing, CacheChoice, CheckpointEvery, Checkpointing, Compute,
    OptimizerChoice, TrainConfig,
};
use ybox_spec::events::{Epoch, Event, Metrics, read_log};
use ybox_spec::intervention::Action::{
    self, MendAverage, RollBack, SafeAttention, SetAside, Skip, Stop,
};
use ybox_spec::intervention::{Cause, Intervention};
use ybox_spec::manifest::{Entry, Manifest};

use super::faults::Fault::{
    AverageHuge, AverageNan, GradientNan, ImageInfinite, LossNan, ManyObjects, NoObjects, WeightNan,
};
use super::faults::{Fault, Faults};
use super::run_session;
use super::session::Session;
use super::snapshot::first_not_finite;
use crate::caching::Caching;
use crate::data::Picture;
use crate::emit::Emitter;
use crate::error::TrainerError;
use crate::job::{Job, Outcome, StopAfter};
use crate::scan::scan_for_training;
use crate::{stop, weights};

const PICTURES: u32 = 12;
const SIDE: u32 = 64;

/// A training of three steps an epoch.
pub(super) fn config(epochs: u32) -> TrainConfig {
    TrainConfig {
        names: vec!["disc".into(), "bar".into(), "block".into()],
        epochs,
        batch: 4,
        nbs: 4,
        imgsz: SIDE,
        ema_tau: 20.0,
        amp: Amp::Off,
        compute: Compute { attention: AttentionPath::Flash, ..Compute::default() },
        ..TrainConfig::default()
    }
}

/// One that learns fast.
pub(super) fn still(epochs: u32) -> TrainConfig {
    TrainConfig {
        optimizer: OptimizerChoice::AdamW,
        lr0: 0.004,
        warmup_epochs: 1.0,
        mosaic: 0.0,
        scale: 0.1,
        fliplr: 0.0,
        ..config(epochs)
    }
}

/// A training and what it left.
pub(super) struct Trained {
    pub dir: TempDir,
    ended: Result<Outcome, TrainerError>,
    interventions: Vec<Intervention>,
    /// Code and message.
    pub notes: Vec<(String, String)>,
    pub epochs: Vec<Epoch>,
    metrics: Option<Metrics>,
}

impl Trained {
    pub fn acts(&self) -> Vec<(Cause, Action)> {
        self.interventions.iter().map(|i| (i.cause, i.action)).collect()
    }

    pub fn actions(&self) -> Vec<Action> {
        self.interventions.iter().map(|i| i.action).collect()
    }

    /// Steps that were taken.
    pub fn steps(&self) -> usize {
        let chain = fs::read_to_string(self.dir.path().join("out/steps.chain")).unwrap();
        chain.lines().count()
    }

    #[track_caller]
    pub fn left_the_same_as(&self, other: &Self) {
        for name in ["steps.chain", "results.csv", "weights/last.safetensors"] {
            let read = |t: &Self| fs::read(t.dir.path().join("out").join(name)).unwrap();
            assert!(read(self) == read(other), "{name} differs");
        }
    }

    #[track_caller]
    pub fn is_healthy(&self) {
        assert_eq!(*self.ended.as_ref().unwrap(), Outcome::Finished);
        for name in ["best", "last"] {
            let path = self.dir.path().join(format!("out/weights/{name}.safetensors"));
            assert_eq!(first_not_finite(&weights::read(&path).unwrap().state), None);
        }
        let results = fs::read_to_string(self.dir.path().join("out/results.csv")).unwrap();
        let numbers = results.lines().skip(1).flat_map(|row| row.split(','));
        assert!(numbers.map(|n| n.trim().parse::<f64>().unwrap()).all(f64::is_finite));
    }
}

/// One rectangle a picture, of a class with a colour of its own.
fn drawn(root: &Path, class_offset: u32) -> Manifest {
    let mut entries = Vec::new();
    let mut add = |path: String| {
        let bytes = fs::read(root.join(&path)).unwrap();
        let (size, sha256) = (bytes.len() as u64, Digest::of(&bytes));
        for split in ["train", "val"] {
            let path = path.clone();
            entries.push(Entry { split: split.into(), path, size, sha256 });
        }
    };
    for folder in ["images", "labels"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for i in 0..PICTURES {
        let class = i % 3;
        let (left, top, side) = (4 + 5 * i % 24, 4 + 7 * i % 24, 24 + 3 * (i % 4));
        let mut picture = Picture::filled(SIDE, SIDE, [40; 3]);
        let rgb = [0, 1, 2].map(|channel| if channel == class { 230 } else { 20 });
        for place in 0..side * side {
            picture.set_pixel(left + place % side, top + place / side, rgb);
        }
        ybox_picture::save(&picture, &root.join(format!("images/{i}.png"))).unwrap();
        let share = |pixels: f64| pixels / f64::from(SIDE);
        let centre = |start: u32| share(f64::from(start) + f64::from(side) / 2.0);
        let (x, y, size) = (centre(left), centre(top), share(side.into()));
        let label = format!("{} {x} {y} {size} {size}\n", class + class_offset);
        fs::write(root.join(format!("labels/{i}.txt")), label).unwrap();
        add(format!("images/{i}.png"));
        add(format!("labels/{i}.txt"));
    }
    Manifest::new(entries).unwrap()
}

pub(super) fn train(
    config: &TrainConfig,
    faults: impl IntoIterator<Item = (u64, Fault)>,
) -> Trained {
    train_labelled(config, faults, 0)
}

fn train_labelled(
    config: &TrainConfig,
    faults: impl IntoIterator<Item = (u64, Fault)>,
    class_offset: u32,
) -> Trained {
    train_piece(tempfile::tempdir().unwrap(), config, faults, class_offset, None)
}

/// Goes on with what there is in `dir`, and stops after so many steps.
pub(super) fn train_piece(
    dir: TempDir,
    config: &TrainConfig,
    faults: impl IntoIterator<Item = (u64, Fault)>,
    class_offset: u32,
    stop_after: Option<StopAfter>,
) -> Trained {
    // One, so that a busy machine does not make the threads wait for each other.
    tch::set_num_threads(1);
    let out = dir.path().join("out");
    fs::create_dir_all(&out).unwrap();
    let mut job = Job {
        manifest: drawn(dir.path(), class_offset),
        data: dir.path().to_owned(),
        emit: Emitter::resume(&out.join("events.jsonl")).unwrap(),
        out: out.clone(),
        weights: None,
        workers: 1,
        plots: false,
        checkpointing: AutoCheckpointing::Is(Checkpointing::None),
        cache: Caching::new(CacheChoice::Auto, None, None).unwrap(),
        memory: None,
        config: PathBuf::new(),
        stop: stop::Stop::default(),
        resume: true,
        checkpoint_every: CheckpointEvery::Steps(1000),
        stop_after,
        deadline: None,
    };
    let [training, val] =
        ["train", "val"].map(|split| scan_for_training(&mut job, split, config).unwrap());
    let mut session = Session::new(config, &job, training.clone(), Checkpointing::None).unwrap();
    session.faults = Faults::new(faults);
    let ended = run_session(config, &mut job, session, [&training, &val]);
    let (lines, _) = read_log(&fs::read_to_string(out.join("events.jsonl")).unwrap()).unwrap();
    let mut trained = Trained {
        dir,
        ended,
        interventions: Vec::new(),
        notes: Vec::new(),
        epochs: Vec::new(),
        metrics: None,
    };
    for line in lines {
        match line.event {
            Event::Intervention(intervention) => trained.interventions.push(intervention),
            Event::Note { code, message, .. } => trained.notes.push((code, message)),
            Event::Epoch(epoch) => trained.epochs.push(epoch),
            Event::Metrics(metrics) => trained.metrics = Some(metrics),
            _ => {}
        }
    }
    trained
}

#[test]
fn a_step_that_is_not_finite_is_left_out() {
    for (fault, cause) in [
        (LossNan, Cause::LossNotFinite),
        (GradientNan, Cause::GradientNotFinite),
        (ImageInfinite, Cause::LossNotFinite),
    ] {
        let trained = train(&config(2), [(2, fault)]);
        assert_eq!(trained.acts(), [(cause, Skip)], "{fault:?}");
        let Intervention { epoch, step, .. } = trained.interventions[0];
        assert_eq!((epoch, step), (1, 2));
        trained.is_healthy();
        assert_eq!(trained.steps(), 5, "of six");
    }
}

/// The healthy state, what was usual, the attention path: all of the guard is in a checkpoint.
#[test]
fn rollbacks_after_a_resumption_go_where_they_would_have_gone() {
    let config = config(6);
    let faults = [4, 5, 6, 11, 12, 13].map(|batch| (batch, LossNan));
    let whole = train(&config, faults);
    assert_eq!(whole.actions(), [Skip, Skip, RollBack, Skip, Skip, SafeAttention]);
    let mut dir = tempfile::tempdir().unwrap();
    // Batches before each stop: the steps taken, and those left out before them.
    for (steps, batches) in [(2, 0), (6, 2), (9, 9), (10, 15)] {
        let left = faults.iter().filter(|(at, _)| *at >= batches);
        let left: Vec<_> = left.map(|(at, fault)| (at - batches, *fault)).collect();
        let stop = Some(StopAfter::Steps(steps));
        dir = train_piece(dir, &config, left, 0, stop).dir;
    }
    let pieces = train_piece(dir, &config, [], 0, None);
    whole.left_the_same_as(&pieces);
}

#[test]
fn a_step_left_out_leaves_nothing_behind() {
    let weights = |faults: &[(u64, Fault)]| {
        let trained = train(&config(1), faults.iter().copied());
        fs::read(trained.dir.path().join("out/weights/last.safetensors")).unwrap()
    };
    // The last step of the training: what differs between the faults is lost with it.
    assert!(weights(&[(2, ImageInfinite)]) == weights(&[(2, LossNan)]));
    assert!(weights(&[(2, LossNan)]) != weights(&[]));
}

#[test]
fn an_average_that_is_not_finite_is_mended() {
    let trained = train(&config(2), [(1, AverageNan)]);
    assert_eq!(trained.acts(), [(Cause::AverageNotFinite, MendAverage)]);
    trained.is_healthy();
}

#[test]
fn weights_that_are_not_finite_are_gone_back_from() {
    let trained = train(&config(2), [(2, WeightNan)]);
    assert_eq!(trained.acts(), [(Cause::WeightsNotFinite, RollBack)]);
    trained.is_healthy();
}

#[test]
fn batches_with_no_objects_or_thousands_are_batches() {
    for fault in [NoObjects, ManyObjects] {
        let trained = train(&config(1), [(1, fault)]);
        assert_eq!(trained.acts(), [], "{fault:?}");
        trained.is_healthy();
    }
}

#[test]
fn labels_that_are_all_wrong_are_noted_and_train_as_background() {
    let trained = train_labelled(&config(1), [], 7);
    assert!(trained.notes.len() >= 2 * PICTURES as usize, "{:?}", trained.notes);
    assert_eq!(trained.acts(), []);
    trained.is_healthy();
}

#[test]
fn trouble_without_end_climbs_the_ladder_and_stops() {
    let trained = train(&config(20), (4..60).map(|batch| (batch, LossNan)));
    assert_eq!(
        trained.actions(),
        [Skip, Skip, RollBack, Skip, Skip, SafeAttention, Skip, Skip, Stop]
    );
    let error = trained.ended.unwrap_err();
    assert!(matches!(error, TrainerError::Diverged { epoch: 5, step: 4, .. }), "{error}");
    assert_eq!(first_not_finite(&trained_weights(trained.dir.path())), None);
}

fn trained_weights(dir: &Path) -> Vec<(String, tch::Tensor)> {
    weights::read(&dir.join("out/weights/last.safetensors")).unwrap().state
}

#[test]
fn training_goes_on_after_the_safe_path_was_taken() {
    let trained = train(&config(4), (2..8).map(|batch| (batch, GradientNan)));
    assert_eq!(trained.actions(), [Skip, Skip, RollBack, Skip, Skip, SafeAttention]);
    trained.is_healthy();
}

#[test]
fn a_validation_that_is_not_finite_is_not_the_best() {
    let trained = train(&config(2), [(5, AverageHuge)]);
    trained.is_healthy();
    assert_eq!(trained.acts(), [(Cause::ValidationNotFinite, SetAside)]);
    assert!(trained.interventions[0].message.contains("of 12 pictures"));
    assert_eq!(trained.epochs.iter().map(|epoch| epoch.best).collect::<Vec<_>>(), [true, false]);
}

#[test]
#[ignore = "trains for two minutes: cargo test -p ytrain --lib fault_tests -- --ignored"]
fn a_fault_costs_no_accuracy() {
    let map50 = |faults: &[(u64, Fault)]| {
        let trained = train(&still(100), faults.iter().copied());
        trained.is_healthy();
        trained.metrics.unwrap().map50
    };
    let clean = map50(&[]);
    eprintln!("clean: {clean}");
    assert!(clean > 0.5, "{clean}");
    for fault in [LossNan, ImageInfinite, AverageNan] {
        let faulty = map50(&[(30, fault)]);
        eprintln!("{fault:?}: {faulty}");
        assert!((faulty - clean).abs() < 0.1, "{fault:?}: {faulty} against {clean}");
    }
}
