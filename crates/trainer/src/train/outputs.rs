//! What a training writes: weights, `results.csv`, the chain of steps.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use ybox_spec::chain::{ChainHead, Step};
use ybox_spec::config::TrainConfig;
use ybox_spec::events::Epoch;
use ybox_spec::weights::WeightsInfo;

use crate::error::TrainerError;
use crate::model::Yolo12;
use crate::report::results_csv::ResultsCsv;
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
    /// All but the epoch.
    info: WeightsInfo,
}

impl Outputs {
    /// Makes the files in the run folder `out`.
    pub fn create(config: &TrainConfig, out: &Path) -> Result<Self, TrainerError> {
        let folder = out.join("weights");
        fs::create_dir_all(&folder).map_err(TrainerError::writing(&folder))?;
        let chain_path = out.join("steps.chain");
        let csv_path = out.join("results.csv");
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
        self.chain.sync_data().map_err(TrainerError::writing(&self.chain_path))
    }

    /// Writes `weights/last.safetensors`, trained for `epochs` epochs.
    pub fn save_last(&self, model: &Yolo12, epochs: u32) -> Result<(), TrainerError> {
        self.save(&self.last, model, epochs)
    }

    fn save(&self, path: &Path, model: &Yolo12, epoch: u32) -> Result<(), TrainerError> {
        let info = WeightsInfo { epoch, ..self.info.clone() };
        Ok(weights::write(path, &model.state_dict(), &info)?)
    }
}
