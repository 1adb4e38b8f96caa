//! A run folder as it is compared, recorded or not. Nothing is verified: where a file contradicts
//! the record, that is noted.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use ybox_spec::chain::{ChainHead, Step};
use ybox_spec::config::Config;
use ybox_spec::manifest::Manifest;
use ybox_spec::record::Record;
use ybox_spec::results::Table;

use super::{metrics, steps};
use crate::record::{Glance, RunState, file, glance};

/// What a run folder says.
#[derive(Debug)]
pub struct Run {
    pub state: RunState,
    pub record: Option<Record>,
    pub config: Option<Config>,
    pub manifest: Option<Manifest>,
    /// `None` where the run has none.
    pub steps: Option<Vec<Step>>,
    pub results: Table,
    /// Final numbers by name.
    pub metrics: Map<String, Value>,
    /// What stands in the way of comparing or trusting it.
    pub notes: Vec<String>,
}

const VERIFY: &str = "nothing was verified here, `ybox verify` does that";

impl Run {
    /// `None` for a folder that no run was started in.
    pub fn read(folder: &Path) -> Option<Self> {
        let Glance { state, config, record } = glance(folder)?;
        let text = |name| fs::read_to_string(folder.join(name)).ok();
        let mut notes: Vec<_> = state_note(state).map(str::to_owned).into_iter().collect();
        let results = Table::parse(&text(file::RESULTS).unwrap_or_default());
        let measured = text(file::METRICS).and_then(|text| serde_json::from_str(&text).ok());
        let manifest = text(file::MANIFEST).and_then(|text| text.parse().ok());
        let steps = text(file::STEPS).map(|text| {
            let (steps, broken) = steps::sound_steps(&text, record.is_none());
            notes.extend(broken.map(|step| {
                format!("{} is broken at step {step}: compared is what is before", file::STEPS)
            }));
            steps
        });
        let mut run = Self {
            state,
            metrics: metrics::of(&results, measured.as_ref()),
            record,
            config,
            manifest,
            steps,
            results,
            notes,
        };
        let as_written =
            text(file::RECORD).is_some_and(|text| Record::read(text.as_bytes()).is_ok());
        let contradictions = run.contradictions(as_written);
        run.notes.extend(contradictions);
        Some(run)
    }

    /// What the record says otherwise than it did when it was written, or than the files do.
    fn contradictions(&self, as_written: bool) -> Vec<String> {
        let Some(record) = &self.record else { return Vec::new() };
        let manifest = self.manifest.as_ref().is_some_and(|m| m.root() != record.inputs.data);
        let head = self.steps.as_deref().map(head);
        [
            (!as_written, file::RECORD),
            (manifest, file::MANIFEST),
            (head.is_some() && head != record.outputs.steps, file::STEPS),
        ]
        .into_iter()
        .filter(|(contradicts, _)| *contradicts)
        .map(|(_, name)| format!("{name} is not what was recorded; {VERIFY}"))
        .collect()
    }
}

fn head(steps: &[Step]) -> ChainHead {
    let mut head = ChainHead::default();
    for step in steps {
        head.append(*step);
    }
    head
}

fn state_note(state: RunState) -> Option<&'static str> {
    match state {
        RunState::Completed => None,
        RunState::Interrupted => Some("it was stopped on request"),
        RunState::OutOfTime => Some("it stopped because its time was spent"),
        RunState::Running => Some("it still goes on and has no record: compared is what is there"),
        RunState::Unfinished => {
            Some("it failed or was killed and has no record: compared is what it left")
        }
        RunState::Damaged => Some(
            "its record cannot be read: compared is what the other files say; nothing was verified \
             here, `ybox verify` does that",
        ),
    }
}
