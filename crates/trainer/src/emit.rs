//! Saying what happens: each event goes to standard output and, unless it is mere progress, to
//! the log.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ybox_spec::events::{Event, EventLog, Line, Progress};

use crate::progress::Phase;

/// Progress within a phase is said at most this often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

pub struct Emitter {
    log: EventLog,
    /// Lines of the log that another process wrote.
    found: u64,
    last_progress: Option<Instant>,
}

impl Emitter {
    /// Starts the log at `path`.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { log: EventLog::create(path)?, found: 0, last_progress: None })
    }

    /// Goes on with the log at `path`.
    pub fn resume(path: &Path) -> io::Result<Self> {
        let log = EventLog::resume(path)?;
        Ok(Self { found: log.count(), log, last_progress: None })
    }

    /// Says `event`. Training must not die of a full log disk or a reader that went away: the
    /// record's check of the log is what notices a gap.
    pub fn say(&mut self, event: Event) {
        let line = self.log.append(&event).or_else(|error| {
            eprintln!("warning: cannot write to the event log: {error}");
            serde_json::to_string(&Line { link: None, event })
        });
        let mut out = io::stdout().lock();
        let _ = line.map(|line| writeln!(out, "{line}").and_then(|()| out.flush()));
    }

    /// A note whose `code` is stable.
    pub fn note(&mut self, code: &str, message: impl Into<String>) {
        self.say(Event::Note {
            code: code.to_owned(),
            message: message.into(),
            file: None,
            line: None,
        });
    }

    /// Says how far `phase` has come after `done`, unless it did so a moment ago; the end of a
    /// phase is always said. `progress` is only asked for when it is going to be said.
    pub fn progress(&mut self, phase: &Phase, done: u64, progress: impl FnOnce() -> Progress) {
        let due = self.last_progress.is_none_or(|last| last.elapsed() >= PROGRESS_INTERVAL);
        if due || phase.is_over(done) {
            self.last_progress = Some(Instant::now());
            self.say(Event::Progress(progress()));
        }
    }

    /// Lines that the log had when this process went on with it.
    pub fn found(&self) -> u64 {
        self.found
    }

    pub fn log(&self) -> &EventLog {
        &self.log
    }
}
