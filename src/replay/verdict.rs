//! Whether a replay gave what the run gave.

use std::path::Path;

use serde::Serialize;
use ybox_spec::chain::{ChainHead, Step};
use ybox_spec::config::{Config, Numerics};

use super::{Extent, Replay};
use crate::diff::{self, FirstDifference, Likely, Run, Surroundings};
use crate::record::RunState;
use crate::run::RunError;
use crate::ui::Failure;

/// Relative difference of the loss of a step that passes where other hardware computes under `fast`
/// numerics: a judgement. Different kernels round otherwise, and training amplifies it.
pub const TOLERANCE: f64 = 0.01;

/// What was compared and what came out.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub outcome: Outcome,
    /// Steps that were computed again and compared.
    pub steps: u64,
    /// Steps that a checkpoint stood for.
    pub after: u64,
    /// Steps of the run, as far as it went.
    pub of: u64,
    /// Whether result files were compared too, which a replay to the end has.
    pub results: bool,
    pub first_step: Option<FirstDifference>,
    pub likely_cause: Option<Likely>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Bit for bit.
    Identical,
    /// Other hardware under `fast` numerics: every loss is within [`TOLERANCE`].
    WithinTolerance,
    Differs,
}

impl Verdict {
    pub fn passes(&self) -> bool {
        self.outcome != Outcome::Differs
    }
}

/// Compares the run of `replay` with what it left in `folder`.
pub fn compare(replay: &Replay, folder: &Path, with: &Surroundings) -> Result<Verdict, Failure> {
    let not = |reason: &str| Failure::from(RunError::not_again(&replay.folder, "compared", reason));
    let read = |folder: &Path| Run::read(folder).ok_or_else(|| not("it is no run folder"));
    let [run, again] = [read(&replay.folder)?, read(folder)?];
    let (steps, of) = match (&run.steps, &again.steps) {
        (Some(run), Some(again)) => (again.len().min(run.len()) as u64, run.len() as u64),
        _ => return by_head(&run, &again).ok_or_else(|| not("it has no steps.chain")),
    };
    if steps <= replay.after {
        return Err(not("there are no steps to compare"));
    }
    let compared = diff::runs(&run, &again, with);
    let both = |state| [&run, &again].iter().all(|run| run.state == state);
    let is_whole = replay.extent == Extent::Full && both(RunState::Completed);
    let same_results = results(&run) == results(&again);
    let outcome = match (&compared.first_step, is_whole && !same_results) {
        (None, false) => Outcome::Identical,
        (Some(_), _) if tolerates(&run, &again) && is_near(&run, &again) => {
            Outcome::WithinTolerance
        }
        _ => Outcome::Differs,
    };
    let likely_cause = compared.likely_cause.filter(|_| outcome != Outcome::Identical);
    Ok(Verdict {
        outcome,
        steps: steps - replay.after,
        after: replay.after,
        of,
        results: is_whole,
        first_step: compared.first_step,
        likely_cause,
    })
}

/// A record alone has the head of the chain, which stands for all steps.
fn by_head(run: &Run, again: &Run) -> Option<Verdict> {
    let head = |run: &Run| -> Option<ChainHead> { run.record.as_ref()?.outputs.steps };
    let (ours, theirs) = (head(run)?, head(again)?);
    if ours.count != theirs.count {
        return None;
    }
    let same = ours == theirs && results(run) == results(again);
    Some(Verdict {
        outcome: if same { Outcome::Identical } else { Outcome::Differs },
        steps: theirs.count,
        after: 0,
        of: ours.count,
        results: true,
        first_step: None,
        likely_cause: None,
    })
}

fn results(run: &Run) -> Option<ybox_spec::Digest> {
    run.record.as_ref().map(|record| record.result_hash)
}

/// Whether other bits are no surprise: another class of hardware, and numerics that promise none.
fn tolerates(run: &Run, again: &Run) -> bool {
    let fast = |run: &Run| match &run.config {
        Some(Config::Train(config)) => config.compute.numerics == Numerics::Fast,
        _ => false,
    };
    let Some((a, b)) = run.record.as_ref().zip(again.record.as_ref()) else { return false };
    let hosts = diff::host_changes(&a.circumstances.host, &b.circumstances.host);
    let other_hardware = hosts.iter().any(|change| change.hardware);
    fast(run) && fast(again) && a.inputs == b.inputs && other_hardware
}

fn is_near(run: &Run, again: &Run) -> bool {
    let near = |(a, b): (&Step, &Step)| {
        let [a, b] = [a.loss, b.loss].map(|bits| f64::from(f32::from_bits(bits)));
        (a - b).abs() <= TOLERANCE * a.abs()
    };
    let steps = |run: &Run| run.steps.clone().unwrap_or_default();
    steps(run).iter().zip(&steps(again)).all(near)
}
