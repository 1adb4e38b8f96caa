//! What a training writes: weights, `results.csv`, the chain of steps, and what people look at.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use ybox_spec::chain::{ChainHead, Step};
use ybox_spec::config::TrainConfig;
use ybox_spec::events::Epoch;
use ybox_spec::pictures;
use ybox_spec::weights::WeightsInfo;

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
    folder: PathBuf,
    /// Epochs between two weights that stay; none do where it is below 1.
    save_period: i32,
    last: PathBuf,
    best: PathBuf,
    chain_path: PathBuf,
    chain: File,
    head: ChainHead,
    csv_path: PathBuf,
    csv: ResultsCsv,
    tensorboard_path: PathBuf,
    tensorboard: TensorBoard,
    /// Unless none are wanted.
    pictures: Option<Pictures>,
    /// What the best epoch so far found.
    findings: Option<Evaluator>,
    /// All but the epoch.
    info: WeightsInfo,
}

impl Outputs {
    /// Makes the files in the run folder `out`; pictures among them only with `plots`.
    pub fn create(config: &TrainConfig, out: &Path, plots: bool) -> Result<Self, TrainerError> {
        let folder = out.join("weights");
        fs::create_dir_all(&folder).map_err(TrainerError::writing(&folder))?;
        let chain_path = out.join("steps.chain");
        let csv_path = out.join("results.csv");
        let tensorboard_path = out.join(pictures::TENSORBOARD);
        Ok(Self {
            last: folder.join("last.safetensors"),
            best: folder.join("best.safetensors"),
            folder,
            save_period: config.save_period,
            chain: File::create(&chain_path).map_err(TrainerError::writing(&chain_path))?,
            chain_path,
            head: ChainHead::default(),
            csv: ResultsCsv::new(&csv_path),
            csv_path,
            tensorboard: TensorBoard::create(&tensorboard_path)
                .map_err(TrainerError::writing(&tensorboard_path))?,
            tensorboard_path,
            pictures: plots.then(|| Pictures::new(out, &config.names)),
            findings: None,
            info: WeightsInfo {
                model: config.model.clone(),
                names: config.names.clone(),
                imgsz: config.imgsz,
                epoch: 0,
            },
        })
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.head.count
    }

    pub fn append_step(&mut self, step: Step) -> Result<(), TrainerError> {
        let line = self.head.append(step) + "\n";
        self.chain.write_all(line.as_bytes()).map_err(TrainerError::writing(&self.chain_path))
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
            self.save(&self.best, model, row.epoch)?;
        }
        if self.save_period > 0 && row.epoch.is_multiple_of(self.save_period.unsigned_abs()) {
            let kept = self.folder.join(format!("epoch{}.safetensors", row.epoch));
            self.save(&kept, model, row.epoch)?;
        }
        self.csv.append(row, lrs).map_err(TrainerError::writing(&self.csv_path))?;
        self.tensorboard
            .append(row.epoch.into(), &results_csv::columns(row, lrs))
            .map_err(TrainerError::writing(&self.tensorboard_path))?;
        self.chain.sync_data().map_err(TrainerError::writing(&self.chain_path))
    }

    /// Writes `weights/last.safetensors`, trained for `epochs` epochs.
    pub fn save_last(&self, model: &Yolo12, epochs: u32) -> Result<(), TrainerError> {
        self.save(&self.last, model, epochs)
    }

    /// Draws statistics of the training labels.
    pub fn draw_labels(&self, train: &Split) -> Result<(), TrainerError> {
        self.pictures.as_ref().map_or(Ok(()), |pictures| pictures.labels(train))
    }

    /// Draws `batch`, if it is among the first.
    pub fn draw_batch(&mut self, batch: &Batch) -> Result<(), TrainerError> {
        self.pictures.as_mut().map_or(Ok(()), |pictures| pictures.batch(batch))
    }

    /// Keeps what a validation found, to be drawn at the end: that of the best epoch.
    pub fn keep_findings(&mut self, evaluator: Evaluator, best: bool) {
        if self.pictures.is_some() && (best || self.findings.is_none()) {
            self.findings = Some(evaluator);
        }
    }

    /// Draws how the training went, and what its best epoch found on the validation split.
    pub fn draw_findings(&self, val: &Split) -> Result<(), TrainerError> {
        let Some(pictures) = &self.pictures else { return Ok(()) };
        pictures.results(self.csv.text())?;
        self.findings.as_ref().map_or(Ok(()), |findings| pictures.validation(val, findings))
    }

    fn save(&self, path: &Path, model: &Yolo12, epoch: u32) -> Result<(), TrainerError> {
        let info = WeightsInfo { epoch, ..self.info.clone() };
        let state = model.state_dict();
        if let Some(tensor) = first_not_finite(&state) {
            return Err(TrainerError::NotFinite { tensor });
        }
        Ok(weights::write(path, &state, &info)?)
    }
}
