//! What a training writes: weights, `results.csv`, the chain of steps, and what people look at.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use ybox_spec::Digest;
use ybox_spec::chain::{ChainHead, Step};
use ybox_spec::config::TrainConfig;
use ybox_spec::events::Epoch;
use ybox_spec::files::{copy_atomic, remove_if_there};
use ybox_spec::pictures;
use ybox_spec::weights::WeightsInfo;

use super::chain::{Beginning, ChainFile};
use super::resume_error::ResumeError;
use super::snapshot::first_not_finite;
use crate::data::{Batch, Split};
use crate::error::TrainerError;
use crate::eval::Evaluator;
use crate::model::Yolo12;
use crate::report::Pictures;
use crate::report::results_csv::{self, ResultsCsv};
use crate::report::tensorboard::TensorBoard;
use crate::weights;

pub struct Outputs {
    places: Places,
    /// Epochs between two weights that stay; none do where it is below 1.
    save_period: i32,
    chain: ChainFile,
    csv: ResultsCsv,
    tensorboard: TensorBoard,
    /// Unless none are wanted.
    pictures: Option<Pictures>,
    /// What the best epoch so far found.
    findings: Option<Evaluator>,
    /// Digest of the best weights so far.
    best: Option<Digest>,
    /// All but the epoch.
    info: WeightsInfo,
}

/// Where everything goes.
struct Places {
    weights: PathBuf,
    last: PathBuf,
    best: PathBuf,
    chain: PathBuf,
    csv: PathBuf,
    tensorboard: PathBuf,
}

/// What there was when a checkpoint was kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OutputsState {
    pub chain: ChainHead,
    /// The text of `results.csv`.
    results: String,
    /// Bytes of TensorBoard's events.
    tensorboard: u64,
    /// Digest of the best weights, after the first epoch.
    pub best: Option<Digest>,
}

impl Places {
    fn new(out: &Path) -> Self {
        let weights = out.join("weights");
        Self {
            last: weights.join("last.safetensors"),
            best: weights.join("best.safetensors"),
            weights,
            chain: out.join("steps.chain"),
            csv: out.join("results.csv"),
            tensorboard: out.join(pictures::TENSORBOARD),
        }
    }

    fn kept(&self, epoch: u32) -> PathBuf {
        self.weights.join(format!("epoch{epoch}.safetensors"))
    }
}

impl Outputs {
    /// Makes the files in the run folder `out`; pictures among them only with `plots`.
    pub fn create(config: &TrainConfig, out: &Path, plots: bool) -> Result<Self, TrainerError> {
        let places = Places::new(out);
        fs::create_dir_all(&places.weights).map_err(TrainerError::writing(&places.weights))?;
        Ok(Self {
            save_period: config.save_period,
            chain: ChainFile::create(places.chain.clone())?,
            csv: ResultsCsv::new(&places.csv),
            tensorboard: TensorBoard::create(&places.tensorboard)
                .map_err(TrainerError::writing(&places.tensorboard))?,
            places,
            pictures: plots.then(|| Pictures::new(out, &config.names)),
            findings: None,
            best: None,
            info: info(config),
        })
    }

    /// Goes on with the files in `out` as they were when `state` was kept, in the midst of the epoch
    /// after `epochs`. `best` is where the best weights were kept beside.
    ///
    /// # Errors
    /// Before anything is changed, when the files are not those.
    pub fn resume(
        config: &TrainConfig,
        (out, plots): (&Path, bool),
        (state, epochs): (&OutputsState, u32),
        best: Option<&Path>,
    ) -> Result<Self, ResumeError> {
        let places = Places::new(out);
        let beginning = Beginning::check(&places.chain, state.chain)?;
        bring_back_best(&places.best, best, state.best)?;
        for epoch in epochs + 1..=config.epochs {
            let kept = places.kept(epoch);
            remove_if_there(&kept).map_err(ResumeError::reading(&kept))?;
        }
        Ok(Self {
            save_period: config.save_period,
            chain: ChainFile::resume(places.chain.clone(), beginning)?,
            csv: ResultsCsv::resume(&places.csv, state.results.clone())
                .map_err(ResumeError::reading(&places.csv))?,
            tensorboard: TensorBoard::resume(&places.tensorboard, state.tensorboard)
                .map_err(ResumeError::reading(&places.tensorboard))?,
            places,
            pictures: plots.then(|| Pictures::new(out, &config.names)),
            findings: None,
            best: state.best,
            info: info(config),
        })
    }

    /// What a checkpoint keeps of them.
    pub fn state(&self) -> Result<OutputsState, TrainerError> {
        let written = TrainerError::writing(&self.places.tensorboard);
        Ok(OutputsState {
            chain: self.chain.head(),
            results: self.csv.text().to_owned(),
            tensorboard: self.tensorboard.length().map_err(written)?,
            best: self.best,
        })
    }

    /// The files that grow, to be brought to the disk.
    pub fn growing(&self) -> Result<Vec<File>, TrainerError> {
        let files = [
            (self.chain.file(), &self.places.chain),
            (self.tensorboard.file(), &self.places.tensorboard),
        ];
        files.into_iter().map(|(file, path)| file.map_err(TrainerError::writing(path))).collect()
    }

    /// The file of the best weights.
    pub fn best(&self) -> &Path {
        &self.places.best
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.chain.head().count
    }

    pub fn append_step(&mut self, step: Step) -> Result<(), TrainerError> {
        self.chain.append(step)
    }

    /// Writes what belongs to a validated epoch.
    pub fn save_epoch(
        &mut self,
        model: &Yolo12,
        row: &Epoch,
        lrs: [f64; 3],
    ) -> Result<(), TrainerError> {
        self.save_last(model, row.epoch)?;
        if row.best {
            self.best = Some(self.save(&self.places.best, model, row.epoch)?);
        }
        if self.save_period > 0 && row.epoch.is_multiple_of(self.save_period.unsigned_abs()) {
            self.save(&self.places.kept(row.epoch), model, row.epoch)?;
        }
        self.csv.append(row, lrs).map_err(TrainerError::writing(&self.places.csv))?;
        self.tensorboard
            .append(row.epoch.into(), &results_csv::columns(row, lrs))
            .map_err(TrainerError::writing(&self.places.tensorboard))?;
        self.chain.sync()
    }

    /// Writes `weights/last.safetensors`, trained for `epochs` epochs.
    pub fn save_last(&self, model: &Yolo12, epochs: u32) -> Result<(), TrainerError> {
        self.save(&self.places.last, model, epochs).map(drop)
    }

    /// Draws statistics of the training labels.
    pub fn draw_labels(&self, train: &Split) -> Result<(), TrainerError> {
        self.pictures.as_ref().map_or(Ok(()), |pictures| pictures.labels(train))
    }

    /// Draws `batch`, which is number `number` of the training, from 0, if it is among the first.
    pub fn draw_batch(&mut self, batch: &Batch, number: u64) -> Result<(), TrainerError> {
        self.pictures.as_ref().map_or(Ok(()), |pictures| pictures.batch(batch, number))
    }

    /// Whether what the best epoch found is still to be found out before it can be drawn.
    pub fn lacks_findings(&self) -> bool {
        self.pictures.is_some() && self.findings.is_none() && self.best.is_some()
    }

    /// Keeps what a validation found, to be drawn at the end: that of the best epoch.
    pub fn keep_findings(&mut self, evaluator: Evaluator, best: bool) {
        if self.pictures.is_some() && best {
            self.findings = Some(evaluator);
        }
    }

    /// Draws how the training went, and what its best epoch found on the validation split.
    pub fn draw_findings(&self, val: &Split) -> Result<(), TrainerError> {
        let Some(pictures) = &self.pictures else { return Ok(()) };
        pictures.results(self.csv.text())?;
        self.findings.as_ref().map_or(Ok(()), |findings| pictures.validation(val, findings))
    }

    fn save(&self, path: &Path, model: &Yolo12, epoch: u32) -> Result<Digest, TrainerError> {
        let info = WeightsInfo { epoch, ..self.info.clone() };
        let state = model.state_dict();
        if let Some(tensor) = first_not_finite(&state) {
            return Err(TrainerError::NotFinite { tensor });
        }
        Ok(weights::write(path, &state, &info)?)
    }
}

fn info(config: &TrainConfig) -> WeightsInfo {
    WeightsInfo {
        model: config.model.clone(),
        names: config.names.clone(),
        imgsz: config.imgsz,
        epoch: 0,
    }
}

/// Makes `best` the file that has the digest `wanted`, from `kept` if need be.
fn bring_back_best(
    best: &Path,
    kept: Option<&Path>,
    wanted: Option<Digest>,
) -> Result<(), ResumeError> {
    let Some(wanted) = wanted else {
        return remove_if_there(best).map_err(ResumeError::reading(best));
    };
    if has_digest(best, wanted)? {
        return Ok(());
    }
    match kept {
        Some(kept) if has_digest(kept, wanted)? => {
            copy_atomic(kept, best).map_err(ResumeError::reading(best))
        }
        _ => Err(ResumeError::Best),
    }
}

/// Whether there is a file at `path`, with the digest `wanted`.
fn has_digest(path: &Path, wanted: Digest) -> Result<bool, ResumeError> {
    match Digest::of_file(path) {
        Ok((digest, _)) => Ok(digest == wanted),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(ResumeError::reading(path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_weights_that_cannot_be_read_are_not_taken_for_gone() {
        let run = tempfile::tempdir().unwrap();
        let [best, kept] =
            ["best.safetensors", "kept.safetensors"].map(|name| run.path().join(name));
        let wanted = Digest::of(b"weights");
        let bring_back = || bring_back_best(&best, Some(&kept), Some(wanted));
        assert!(matches!(bring_back(), Err(ResumeError::Best)));
        fs::create_dir(&kept).unwrap();
        assert!(matches!(bring_back(), Err(ResumeError::File { path, .. }) if path == kept));

        fs::remove_dir(&kept).unwrap();
        fs::write(&kept, "weights").unwrap();
        fs::create_dir(&best).unwrap();
        assert!(matches!(bring_back(), Err(ResumeError::File { path, .. }) if path == best));
        fs::remove_dir(&best).unwrap();
        bring_back().unwrap();
        assert_eq!(fs::read(&best).unwrap(), b"weights");
        fs::write(&kept, "others").unwrap();
        bring_back().unwrap();
        fs::write(&best, "others").unwrap();
        assert!(matches!(bring_back(), Err(ResumeError::Best)));
    }
}
