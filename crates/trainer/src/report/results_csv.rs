//! `results.csv`: one row per epoch, in the columns that users of the field's trainers know,
//! without their `time`: the file is a result, the same for the same run. Numbers are the shortest
//! that read back as the same value.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use ybox_spec::events::Epoch;
use ybox_spec::files;

/// The table so far, rewritten as a whole after each epoch so that a crash can't tear it.
pub struct ResultsCsv {
    path: PathBuf,
    text: String,
}

impl ResultsCsv {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), text: String::new() }
    }

    /// Goes on with a table of which `text` was written.
    pub fn resume(path: &Path, text: String) -> io::Result<Self> {
        match text.is_empty() {
            true => files::remove_if_there(path)?,
            false => files::write_atomic(path, text.as_bytes())?,
        }
        Ok(Self { path: path.to_owned(), text })
    }

    /// What the file holds.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds the row of `epoch`.
    pub fn append(&mut self, epoch: &Epoch, lrs: [f64; 3]) -> io::Result<()> {
        let columns = columns(epoch, lrs);
        if self.text.is_empty() {
            let names = columns.map(|(name, _)| name).join(",");
            writeln!(self.text, "epoch,{names}").expect("writing to a string");
        }
        let values = columns.map(|(_, value)| value.to_string()).join(",");
        writeln!(self.text, "{},{values}", epoch.epoch).expect("writing to a string");
        files::write_atomic(&self.path, self.text.as_bytes())
    }
}

/// What is kept of an epoch, by name, with the learning rates of weights, norms and biases at its
/// end.
pub fn columns(epoch: &Epoch, lrs: [f64; 3]) -> [(&'static str, f64); 13] {
    let (train, val, metrics) = (&epoch.train, &epoch.val, &epoch.metrics);
    [
        ("train/box_loss", train.box_loss),
        ("train/cls_loss", train.cls_loss),
        ("train/dfl_loss", train.dfl_loss),
        ("metrics/precision(B)", metrics.precision),
        ("metrics/recall(B)", metrics.recall),
        ("metrics/mAP50(B)", metrics.map50),
        ("metrics/mAP50-95(B)", metrics.map),
        ("val/box_loss", val.box_loss),
        ("val/cls_loss", val.cls_loss),
        ("val/dfl_loss", val.dfl_loss),
        ("lr/pg0", lrs[0]),
        ("lr/pg1", lrs[1]),
        ("lr/pg2", lrs[2]),
    ]
}
