//! PyTorch's weights files: a zip with a pickle and the bytes of its tensors. Reading one runs
//! nothing of it, so that a file from anybody can be read; writing one makes a state dict that
//! `torch.load(weights_only=True)` takes.

mod checkpoint;
mod pickle;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use tch::{Kind, TchError, Tensor};
use ybox_spec::weights::WeightsInfo;
use zip::ZipArchive;
use zip::result::ZipError;

use self::checkpoint::{Checkpoint, CheckpointError, TensorPlan};
use self::pickle::{Pickle, PickleError};
pub use write::write;

/// Bytes of a pickle. That of the largest published checkpoint is well under one million.
const MAX_PICKLE: u64 = 32 << 20;
/// Bytes of all tensors together, as stored. The largest model has 240 million.
const MAX_TENSORS: u64 = 2 << 30;
/// Entry, beside PyTorch's own, for what the weights say of themselves.
const INFO: &str = "extra/ybox";
const MAX_INFO: u64 = 1 << 20;

/// What a file holds.
#[derive(Debug)]
pub struct Contents {
    /// Sorted by name; fp32 and int64.
    pub state: Vec<(String, Tensor)>,
    /// Where the file was written by us.
    pub info: Option<WeightsInfo>,
    pub names: Option<Vec<String>>,
    pub imgsz: Option<u32>,
    pub epochs: Option<u32>,
}

#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct PytorchError {
    pub path: PathBuf,
    pub source: Reason,
}

#[derive(Debug, thiserror::Error)]
pub enum Reason {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is not a zip as PyTorch writes them since 1.6: {0}")]
    Zip(#[from] ZipError),
    #[error("it has no data.pkl: PyTorch did not write it")]
    NoPickle,
    #[error("it is not little-endian")]
    BigEndian,
    #[error("its {name} is larger than {limit} bytes")]
    TooLarge { name: String, limit: u64 },
    #[error("its pickle cannot be read: {0}")]
    Pickle(#[from] PickleError),
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    #[error(
        "its tensor {name} is of {storage}; weights are of 16- or 32-bit floats or 64-bit whole numbers"
    )]
    Storage { name: String, storage: String },
    #[error("its tensor {name} reaches beyond its storage")]
    Bounds { name: String },
    #[error(transparent)]
    Torch(#[from] TchError),
}

/// Reads the file at `path`.
pub fn read(path: &Path) -> Result<Contents, PytorchError> {
    let read = || Archive::open(File::open(path)?)?.contents();
    read().map_err(|source| PytorchError { path: path.to_owned(), source })
}

struct Archive<R> {
    zip: ZipArchive<R>,
    /// The one folder that everything is in.
    root: String,
}

impl<R: Read + Seek> Archive<R> {
    fn open(file: R) -> Result<Self, Reason> {
        let zip = ZipArchive::new(file)?;
        let root = zip
            .file_names()
            .filter_map(|name| name.ok()?.strip_suffix("/data.pkl").map(str::to_owned))
            .find(|root| !root.contains('/'))
            .ok_or(Reason::NoPickle)?;
        Ok(Self { zip, root })
    }

    fn contents(mut self) -> Result<Contents, Reason> {
        if self.optional("byteorder", 16)?.is_some_and(|order| order.trim_ascii() != b"little") {
            return Err(Reason::BigEndian);
        }
        let info = self.optional(INFO, MAX_INFO)?;
        let pickle = self.entry("data.pkl", MAX_PICKLE)?;
        let checkpoint = Checkpoint::read(&Pickle::read(&pickle)?)?;
        Ok(Contents {
            state: self.state(checkpoint.tensors)?,
            // Whoever wrote something else under this name did not mean us.
            info: info.and_then(|info| serde_json::from_slice(&info).ok()),
            names: checkpoint.names,
            imgsz: checkpoint.imgsz,
            epochs: checkpoint.epochs,
        })
    }

    fn state(
        &mut self,
        plans: BTreeMap<String, TensorPlan>,
    ) -> Result<Vec<(String, Tensor)>, Reason> {
        let mut left = MAX_TENSORS;
        let mut state = Vec::with_capacity(plans.len());
        for (name, plan) in plans {
            let tensor = self.tensor(&name, &plan, &mut left)?;
            state.push((name, tensor));
        }
        Ok(state)
    }

    fn tensor(&mut self, name: &str, plan: &TensorPlan, left: &mut u64) -> Result<Tensor, Reason> {
        let bounds = || Reason::Bounds { name: name.to_owned() };
        let (stored, wanted) = kinds(&plan.storage).ok_or_else(|| {
            let storage = plan.storage.strip_prefix("torch.").unwrap_or(&plan.storage);
            Reason::Storage { name: name.to_owned(), storage: storage.to_owned() }
        })?;
        let bytes = self.entry(&format!("data/{}", plan.key), *left)?;
        *left -= bytes.len() as u64;
        let elements = (bytes.len() / stored.elt_size_in_bytes()) as i64;
        if !plan.fits(elements) {
            return Err(bounds());
        }
        let storage = Tensor::f_from_data_size(&bytes, &[elements], stored)?;
        let tensor = storage.f_as_strided(&plan.shape, &plan.strides, plan.offset)?;
        Ok(tensor.f_to_kind(wanted)?.f_contiguous()?)
    }

    fn optional(&mut self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Reason> {
        match self.entry(name, limit) {
            Err(Reason::Zip(ZipError::FileNotFound)) => Ok(None),
            entry => entry.map(Some),
        }
    }

    fn entry(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, Reason> {
        let entry = self.zip.by_name(&format!("{}/{name}", self.root))?;
        let mut bytes = Vec::new();
        entry.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > limit {
            true => Err(Reason::TooLarge { name: name.to_owned(), limit }),
            false => Ok(bytes),
        }
    }
}

/// How elements are stored, and what they become; widening is exact.
fn kinds(storage: &str) -> Option<(Kind, Kind)> {
    Some(match storage {
        "torch.FloatStorage" => (Kind::Float, Kind::Float),
        "torch.HalfStorage" => (Kind::Half, Kind::Float),
        "torch.BFloat16Storage" => (Kind::BFloat16, Kind::Float),
        "torch.LongStorage" => (Kind::Int64, Kind::Int64),
        _ => return None,
    })
}

impl TensorPlan {
    /// Whether all elements lie within a storage of `len`, each in a place of its own or at least
    /// not more of them than places.
    fn fits(&self, len: i64) -> bool {
        let sides = || self.shape.iter().zip(&self.strides);
        if self.shape.len() != self.strides.len()
            || self.offset < 0
            || sides().any(|(side, stride)| *side < 0 || *stride < 0)
        {
            return false;
        }
        let count = self.shape.iter().try_fold(1i64, |count, side| count.checked_mul(*side));
        if count == Some(0) {
            return self.offset <= len;
        }
        let last = sides().try_fold(self.offset, |last, (side, stride)| {
            last.checked_add((side - 1).checked_mul(*stride)?)
        });
        count.is_some_and(|count| count <= len) && last.is_some_and(|last| last < len)
    }
}
