//! What people look at after a run: tables, diagrams, sheets of sample pictures, TensorBoard's
//! events. None of it is read again by the trainer; the results among it are `results.csv` alone.

mod chart;
mod curves;
mod grid;
mod label_statistics;
pub mod results_csv;
mod results_png;
mod samples;
pub mod tensorboard;

use std::path::{Path, PathBuf};

use ybox_spec::pictures;

use crate::data::{Batch, Picture, Split};
use crate::error::TrainerError;
use crate::eval::Evaluator;

/// Draws into a run folder.
pub struct Pictures {
    out: PathBuf,
    /// Of the classes, by number.
    names: Vec<String>,
}

impl Pictures {
    pub fn new(out: &Path, names: &[String]) -> Self {
        Self { out: out.to_owned(), names: names.to_vec() }
    }

    /// Statistics of the training labels.
    pub fn labels(&self, train: &Split) -> Result<(), TrainerError> {
        self.save(pictures::LABELS, &label_statistics::draw(train, &self.names))
    }

    /// Batch number `number` of the training, from 0, if it is among the first.
    pub fn batch(&self, batch: &Batch, number: u64) -> Result<(), TrainerError> {
        let Some(name) = pictures::TRAIN_BATCHES.get(number as usize) else { return Ok(()) };
        self.save(name, &samples::batch(batch, &self.names))
    }

    /// Losses and metrics over the epochs, from `results.csv`.
    pub fn results(&self, csv: &str) -> Result<(), TrainerError> {
        match results_png::draw(csv) {
            Some(picture) => self.save(pictures::RESULTS, &picture),
            None => Ok(()),
        }
    }

    /// Curves, confusion matrices and sample pictures of a validation on `split`.
    pub fn validation(&self, split: &Split, evaluator: &Evaluator) -> Result<(), TrainerError> {
        for (name, picture) in curves::draw(&evaluator.curves()?) {
            self.save(name, &picture)?;
        }
        let confusion = evaluator.confusion();
        self.save(pictures::CONFUSION, &grid::confusion(&confusion, false))?;
        self.save(pictures::CONFUSION_NORMALIZED, &grid::confusion(&confusion, true))?;
        let kinds = [
            (samples::Boxes::There, pictures::VAL_LABELS),
            (samples::Boxes::Found, pictures::VAL_PREDICTIONS),
        ];
        for (which, files) in kinds {
            for (number, name) in files.into_iter().enumerate() {
                let sheet = samples::validation(split, evaluator, &self.names, number, which)?;
                if let Some(sheet) = sheet {
                    self.save(name, &sheet)?;
                }
            }
        }
        Ok(())
    }

    fn save(&self, name: &str, picture: &Picture) -> Result<(), TrainerError> {
        Ok(ybox_picture::save(picture, &self.out.join(name))?)
    }
}
