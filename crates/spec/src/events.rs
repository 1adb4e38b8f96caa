//! What a trainer says while it runs: JSON lines on its standard output. Lasting events are also
//! the log `events.jsonl`, where each line carries the digest of the one before; progress is not
//! logged. How events look to a person is decided where they are shown.

use std::borrow::Borrow;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::BatchPlan;
use crate::config::Task;
use crate::intervention::Intervention;
use crate::memory::MemoryPlan;
use crate::{Digest, files};

/// Code of [`Event::Failed`] where an allocation failed.
pub const OUT_OF_MEMORY: &str = "out-of-memory";

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The trainer has read its inputs.
    Start { task: Task, version: String, model: String, parameters: u64, images: Images },
    /// What is really in force, after `auto` was settled: optimizer, lr, weight decay, ...
    Settings { values: Map<String, Value> },
    /// Strengths of the augmentations in an epoch, from 1; by key, after the schedule.
    Augmentation { epoch: u32, values: Map<String, Value> },
    /// A training goes on after `step` steps, in the midst of `epoch` (from 1), from a checkpoint
    /// that was kept when the log had `events` lines. The process that goes on found `since` lines:
    /// what those between them say was undone.
    Resumed { epoch: u32, step: u64, events: u64, since: u64 },
    /// Something a person should know; `code` is stable.
    Note {
        code: String,
        message: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
    },
    /// What `checkpointing=auto` found.
    MemoryPlan(MemoryPlan),
    /// What `batch=auto` found.
    BatchPlan(BatchPlan),
    /// The trainer acted to keep the training healthy.
    Intervention(Intervention),
    /// How far a phase has come. Not logged.
    Progress(Progress),
    /// An epoch is trained and validated.
    Epoch(Epoch),
    /// The outcome of a validation.
    Metrics(Metrics),
    /// A picture was predicted on; `objects` counts by class name.
    Predicted { path: String, width: u32, height: u32, objects: Map<String, Value> },
    /// Weights were written as a graph; `input` and `output` are the shapes of its tensors.
    Exported { path: String, bytes: u64, input: Vec<i64>, output: Vec<i64> },
    /// Stopped on request; everything so far is saved.
    Interrupted { epoch: u32 },
    /// Stopped because its hours are spent; everything so far is saved.
    OutOfTime { epoch: u32 },
    /// Stopped by an error.
    Failed {
        code: String,
        message: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// All outputs are written.
    Finished { seconds: f64 },
}

/// Pictures per split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Images {
    pub train: u64,
    pub val: u64,
    pub source: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// `scan`, `train`, `val` or `predict`.
    pub phase: String,
    /// From 1.
    pub epoch: u32,
    pub epochs: u32,
    /// Batches or pictures.
    pub done: u64,
    pub total: u64,
    /// Running means of this epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub losses: Option<Losses>,
    /// Objects in the last batch.
    pub instances: u64,
    pub imgsz: u32,
    /// Resident memory in bytes.
    pub memory: u64,
    pub images_per_second: f64,
}

/// Loss components after their gains, per image.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Losses {
    #[serde(rename = "box")]
    pub box_loss: f64,
    #[serde(rename = "cls")]
    pub cls_loss: f64,
    #[serde(rename = "dfl")]
    pub dfl_loss: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: u32,
    pub epochs: u32,
    pub train: Losses,
    pub val: Losses,
    pub metrics: Metrics,
    /// Learning rate of the weights at the end of the epoch.
    pub lr: f64,
    pub instances: u64,
    pub imgsz: u32,
    pub memory: u64,
    pub images_per_second: f64,
    pub seconds: f64,
    /// Whether this is the best epoch so far.
    pub best: bool,
}

/// Detection metrics; precision and recall at the confidence of the best mean F1.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Metrics {
    pub images: u64,
    pub instances: u64,
    pub precision: f64,
    pub recall: f64,
    pub map50: f64,
    /// Mean over IoU 0.50 to 0.95 in steps of 0.05.
    #[serde(rename = "map50-95")]
    pub map: f64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassMetrics>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    pub name: String,
    pub instances: u64,
    pub precision: f64,
    pub recall: f64,
    pub map50: f64,
    #[serde(rename = "map50-95")]
    pub map: f64,
}

/// One line of standard output. `link` is absent on events that are not logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    #[serde(flatten)]
    pub link: Option<Link>,
    #[serde(flatten)]
    pub event: Event,
}

/// A [`Line`] that is being written.
#[derive(Serialize)]
struct Said<'a> {
    #[serde(flatten)]
    link: Option<Link>,
    #[serde(flatten)]
    event: &'a Event,
}

/// A line's place in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// From 0.
    pub seq: u64,
    /// Milliseconds since 1970, UTC.
    pub time: u64,
    /// SHA-256 of the line before, without its line break; of nothing for the first.
    pub prev: Digest,
}

/// Appends to `events.jsonl`.
pub struct EventLog {
    file: File,
    next: u64,
    head: Digest,
}

impl EventLog {
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, next: 0, head: Digest::of(b"") })
    }

    /// Logs `event` unless it is mere progress; returns the line, without a line break, that goes
    /// to standard output.
    pub fn append(&mut self, event: impl Borrow<Event>) -> io::Result<String> {
        let event = event.borrow();
        let lasting = !matches!(event, Event::Progress(_));
        let link = lasting.then(|| Link { seq: self.next, time: now_ms(), prev: self.head });
        let text = serde_json::to_string(&Said { link, event })?;
        if lasting {
            self.file.write_all(format!("{text}\n").as_bytes())?;
            self.next += 1;
            self.head = Digest::of(text.as_bytes());
        }
        Ok(text)
    }

    /// Goes on with the log at `path`, as far as it is whole: what a crash has torn off is cut.
    /// Makes a new one where there is none.
    pub fn resume(path: &Path) -> io::Result<Self> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::create(path),
            read => read?,
        };
        let (length, head) = whole(&bytes);
        let file = files::cut(path, length as u64)?;
        Ok(Self { file, next: head.count, head: head.head })
    }

    /// Lines so far.
    pub fn count(&self) -> u64 {
        self.next
    }

    /// Another handle of the file, to bring it to the disk with.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

/// Length in bytes and head of the lines, from the first on, that are whole and in their places.
fn whole(bytes: &[u8]) -> (usize, LogHead) {
    let mut head = LogHead { count: 0, head: Digest::of(b"") };
    let mut length = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\n") else { break };
        let Ok(Line { link: Some(link), .. }) = serde_json::from_slice(text) else { break };
        if (link.seq, link.prev) != (head.count, head.head) {
            break;
        }
        head = LogHead { count: head.count + 1, head: Digest::of(text) };
        length += line.len();
    }
    (length, head)
}

/// The lines of a log that a resumption has not undone, as far as they can be read.
pub fn standing(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        if let Event::Resumed { events, since, .. } = line.event {
            let stands = |link: &Link| link.seq < events || link.seq >= since;
            lines.retain(|line| line.link.as_ref().is_some_and(stands));
        }
        lines.push(line);
    }
    lines
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Length and last digest of a log: what a record keeps of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    pub count: u64,
    pub head: Digest,
}

/// A line of a log that is not what its successor, or the record, says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    #[error("line {line} is not an event: {reason}")]
    Unreadable { line: u64, reason: String },
    #[error("line {line} was changed: its digest is not the one that line {} carries", line + 1)]
    Changed { line: u64 },
    #[error("line {line} is out of sequence")]
    Sequence { line: u64 },
}

/// Checks every link of a log; returns its lines and its head.
pub fn read_log(text: &str) -> Result<(Vec<Line>, LogHead), LogError> {
    let mut head = Digest::of(b"");
    let mut lines = Vec::new();
    for (i, text) in text.lines().enumerate() {
        let number = i as u64 + 1;
        let line: Line = serde_json::from_str(text)
            .map_err(|e| LogError::Unreadable { line: number, reason: e.to_string() })?;
        let link = line.link.as_ref().ok_or(LogError::Sequence { line: number })?;
        if link.prev != head {
            // The first line's predecessor is nothing, so only the line itself can be wrong.
            return Err(LogError::Changed { line: (number - 1).max(1) });
        }
        if link.seq != i as u64 {
            return Err(LogError::Sequence { line: number });
        }
        head = Digest::of(text.as_bytes());
        lines.push(line);
    }
    let count = lines.len() as u64;
    Ok((lines, LogHead { count, head }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(message: &str) -> Event {
        Event::Note { code: "test".into(), message: message.into(), file: None, line: None }
    }

    fn log() -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut log = EventLog::create(&path).unwrap();
        for message in ["one", "two", "three"] {
            log.append(note(message)).unwrap();
        }
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_log_reads_back_and_a_changed_line_is_named() {
        let text = log();
        let (lines, head) = read_log(&text).unwrap();
        assert_eq!((lines.len(), head.count), (3, 3));
        assert_eq!(lines[1].event, note("two"));
        let changed = text.replace("two", "2wo");
        assert_eq!(read_log(&changed), Err(LogError::Changed { line: 2 }));
        // The last line has no successor: the record's head is what catches it.
        let (_, other) = read_log(&text.replace("three", "3hree")).unwrap();
        assert_ne!(other, head);
    }

    #[test]
    fn a_torn_log_goes_on_where_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let text = log();
        for torn in [&text[..], &text[..text.len() - 1], &text[..text.len() - 9]] {
            let torn = if torn == text { format!("{torn}\0\0") } else { torn.to_owned() };
            fs::write(&path, torn).unwrap();
            let mut log = EventLog::resume(&path).unwrap();
            let kept = log.count();
            log.append(note("four")).unwrap();
            let (lines, head) = read_log(&fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!((head.count, &lines.last().unwrap().event), (kept + 1, &note("four")));
        }
    }

    #[test]
    fn what_a_resumption_undid_does_not_stand() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut log = EventLog::create(&path).unwrap();
        let resumed = |events, since| Event::Resumed { epoch: 1, step: 1, events, since };
        let again = [note("scanned again"), resumed(1, 5)];
        for event in [note("one"), note("two"), note("three"), resumed(2, 3), note("3")] {
            log.append(event).unwrap();
        }
        for event in &again {
            log.append(event).unwrap();
        }
        let text = fs::read_to_string(path).unwrap();
        let events: Vec<_> = standing(&text).into_iter().map(|line| line.event).collect();
        assert_eq!(events, [&[note("one")], &again[..]].concat());
    }

    #[test]
    fn progress_is_said_but_not_logged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut log = EventLog::create(&path).unwrap();
        let progress = Event::Progress(Progress {
            phase: "train".into(),
            epoch: 1,
            epochs: 3,
            done: 1,
            total: 13,
            losses: Some(Losses::default()),
            instances: 9,
            imgsz: 320,
            memory: 0,
            images_per_second: 0.0,
        });
        let said = log.append(progress.clone()).unwrap();
        let line: Line = serde_json::from_str(&said).unwrap();
        assert_eq!(line, Line { link: None, event: progress });
        assert_eq!(std::fs::read(path).unwrap(), b"");
    }
}
