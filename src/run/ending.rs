//! How a trainer ended, from its exit status, its last words and what the engine knows.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::Ordering;

use ybox_spec::batch::BatchPlan;
use ybox_spec::config::{AutoCheckpointing, Checkpointing, Config};
use ybox_spec::events::{Event, Line};
use ybox_spec::exit;
use ybox_spec::record::Status;
use ybox_spec::shortage;

use super::RunError;
use super::error::Said;
use crate::engine::{Ended, StopRequests};

/// Last lines of the trainer's standard error that are kept, for when it dies without a word.
const LAST_WORDS: usize = 5;

/// Exit status of a trainer that was sent SIGKILL: not every engine knows of the kernel's reason.
const KILLED: i32 = 137;

/// What the trainer said that decides how its end is told.
#[derive(Default)]
pub struct Heard {
    failed: Option<(String, String, Option<String>)>,
    errors: VecDeque<String>,
    /// What `checkpointing=auto` was settled to.
    policy: Option<Checkpointing>,
    /// What `batch=auto` was settled to.
    pub batch: Option<BatchPlan>,
    /// Whether an epoch was done.
    pub trained: bool,
}

impl Heard {
    pub fn line(&mut self, line: Option<Line>) {
        match line.map(|line| line.event) {
            Some(Event::Failed { code, message, hint }) => {
                self.failed = Some((code, message, hint));
            }
            Some(Event::MemoryPlan(plan)) => self.policy = Some(plan.chosen),
            Some(Event::BatchPlan(plan)) => self.batch = Some(plan),
            Some(Event::Epoch(_)) => self.trained = true,
            _ => {}
        }
    }

    pub fn error(&mut self, text: String) {
        self.errors.push_back(text);
        if self.errors.len() > LAST_WORDS {
            self.errors.pop_front();
        }
    }
}

/// What the end of a trainer means. `folder` is its run folder, as it
/// is shown.
pub fn status(
    ended: Ended,
    stop: &StopRequests,
    heard: Heard,
    (config, checkpointing): (&Config, AutoCheckpointing),
    folder: &Path,
) -> Result<Status, RunError> {
    if ended.code == 0 {
        return Ok(Status::Completed);
    }
    if ended.code == i32::from(exit::INTERRUPTED) && heard.failed.is_none() {
        return Ok(Status::Interrupted);
    }
    if ended.code == i32::from(exit::OUT_OF_TIME) && heard.failed.is_none() {
        return Ok(Status::OutOfTime);
    }
    if stop.load(Ordering::SeqCst) >= 2 {
        return Err(RunError::Killed { folder: folder.to_owned() });
    }
    if let Some((code, message, hint)) = heard.failed {
        return Err(RunError::Trainer { code, hint, source: Said(message) });
    }
    if let Some(how) = out_of_memory(ended, &heard) {
        let checkpointing = heard.policy.map_or(checkpointing, AutoCheckpointing::Is);
        let tried = shortage::tried(config, checkpointing);
        let advice = shortage::advice(config, checkpointing);
        return Err(RunError::OutOfMemory { how, tried, advice });
    }
    let words = Vec::from(heard.errors).join("\n    ");
    let words = if words.is_empty() { "it wrote nothing to standard error".into() } else { words };
    Err(RunError::Crashed { status: ended.code, source: Said(words) })
}

/// How the trainer ended, if that was for want of memory.
fn out_of_memory(ended: Ended, heard: &Heard) -> Option<&'static str> {
    // What a Rust program says before it aborts.
    let aborted = |line: &String| {
        line.starts_with("memory allocation of ") && line.ends_with(" bytes failed")
    };
    if ended.out_of_memory {
        Some("was ended by the kernel: it ran out of memory")
    } else if heard.errors.iter().any(aborted) {
        Some("ran out of memory")
    } else if ended.code == KILLED {
        Some("was killed, most likely because memory ran out")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use ybox_spec::config::TrainConfig;
    use ybox_spec::memory::MemoryPlan;

    use super::*;

    fn end(code: i32, stops: u8, heard: Heard) -> Result<Status, RunError> {
        let ended = Ended { code, out_of_memory: false };
        let config = Config::Train(TrainConfig::default());
        let of = (&config, AutoCheckpointing::Auto);
        status(ended, &StopRequests::new(stops), heard, of, Path::new("runs/train/exp"))
    }

    #[test]
    fn the_end_is_told_as_it_was() {
        let failed =
            || Heard { failed: Some(("x".into(), "why".into(), None)), ..Default::default() };
        assert_eq!(end(0, 0, Heard::default()).unwrap(), Status::Completed);
        assert_eq!(end(0, 1, Heard::default()).unwrap(), Status::Completed);
        assert_eq!(end(130, 1, Heard::default()).unwrap(), Status::Interrupted);
        assert_eq!(end(124, 0, Heard::default()).unwrap(), Status::OutOfTime);
        assert!(matches!(end(1, 0, failed()), Err(RunError::Trainer { .. })));
        assert!(matches!(end(130, 1, failed()), Err(RunError::Trainer { .. })));
        assert!(matches!(end(137, 2, Heard::default()), Err(RunError::Killed { .. })));
        let mut heard = Heard::default();
        (1..=7).for_each(|i| heard.error(format!("line {i}")));
        let Err(RunError::Crashed { status: 139, source }) = end(139, 0, heard) else { panic!() };
        assert!(source.0.starts_with("line 3\n"));
    }

    #[test]
    fn want_of_memory_is_told_from_other_ends() {
        let said = |code, line: &str| {
            let mut heard = Heard::default();
            heard.error(line.into());
            end(code, 0, heard)
        };
        let failed = "memory allocation of 800 bytes failed";
        for result in [end(137, 0, Heard::default()), said(134, failed)] {
            let Err(RunError::OutOfMemory { tried, advice, .. }) = result else { panic!() };
            assert_eq!(tried, "training yolov12n with batch=16, imgsz=640, checkpointing=auto");
            assert!(advice.contains("batch=8"), "{advice}");
        }
        let plan = MemoryPlan {
            batch: 16,
            available: 0,
            policies: Vec::new(),
            chosen: Checkpointing::Layer,
        };
        let mut heard = Heard::default();
        heard.line(Some(Line { link: None, event: Event::MemoryPlan(plan) }));
        let Err(RunError::OutOfMemory { tried, advice, .. }) = end(137, 0, heard) else { panic!() };
        assert!(tried.ends_with("checkpointing=layer"), "{tried}");
        assert!(advice.contains("checkpointing=layer+head"), "{advice}");
        assert!(matches!(said(134, "an assertion failed"), Err(RunError::Crashed { .. })));
    }
}
