//! `results.csv`: one row per epoch, in the columns that users of the field's trainers know,
//! without their `time`: the file is a result, the same for the same run. Numbers are the shortest
//! that read back as the same value.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use ybox_spec::events::Epoch;
use ybox_spec::files;

const HEADER: &str = "epoch,train/box_loss,train/cls_loss,train/dfl_loss,\
metrics/precision(B),metrics/recall(B),metrics/mAP50(B),metrics/mAP50-95(B),\
val/box_loss,val/cls_loss,val/dfl_loss,lr/pg0,lr/pg1,lr/pg2";

/// The table so far, rewritten as a whole after each epoch so that a crash can't tear it.
pub struct ResultsCsv {
    path: PathBuf,
    text: String,
}

impl ResultsCsv {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), text: format!("{HEADER}\n") }
    }

    /// What the file holds.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds the row of `epoch`, with the learning rates of weights, norms and biases at its end.
    pub fn append(&mut self, epoch: &Epoch, lrs: [f64; 3]) -> io::Result<()> {
        let (train, val, metrics) = (&epoch.train, &epoch.val, &epoch.metrics);
        let columns = [
            train.box_loss,
            train.cls_loss,
            train.dfl_loss,
            metrics.precision,
            metrics.recall,
            metrics.map50,
            metrics.map,
            val.box_loss,
            val.cls_loss,
            val.dfl_loss,
        ];
        write!(self.text, "{}", epoch.epoch).expect("writing to a string");
        for value in columns.iter().chain(&lrs) {
            write!(self.text, ",{value}").expect("writing to a string");
        }
        self.text.push('\n');
        files::write_atomic(&self.path, self.text.as_bytes())
    }
}
