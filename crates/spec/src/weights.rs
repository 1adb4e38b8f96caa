//! What a weights file says about itself: the metadata in a safetensors header. The tensors are
//! the trainer's.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Key of the metadata entry, whose value is [`WeightsInfo`] as JSON.
pub const METADATA_KEY: &str = "ybox";

/// Header bytes beyond which a file is not believed to be safetensors (the format's own limit).
const MAX_HEADER: u64 = 100_000_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsInfo {
    /// Graph and scale, as `model=` takes them.
    pub model: String,
    pub names: Vec<String>,
    pub imgsz: u32,
    /// Epochs trained.
    pub epoch: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a safetensors file: {reason}", path.display())]
    Format { path: PathBuf, reason: String },
    #[error("{} does not say which model it is for (no `{METADATA_KEY}` metadata)", path.display())]
    NoInfo { path: PathBuf },
}

impl WeightsInfo {
    /// Reads the header of the safetensors file at `path`.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        metadata(path, METADATA_KEY)?.ok_or_else(|| WeightsError::NoInfo { path: path.to_owned() })
    }
}

/// What the header of the safetensors file at `path` says under `key`, in JSON. The tensors are not
/// read.
pub fn metadata<T: DeserializeOwned>(path: &Path, key: &str) -> Result<Option<T>, WeightsError> {
    let format = |reason: String| WeightsError::Format { path: path.to_owned(), reason };
    let header = header(path)?;
    let Some(text) = header["__metadata__"][key].as_str() else { return Ok(None) };
    serde_json::from_str(text).map_err(|e| format(format!("its `{key}` metadata: {e}")))
}

fn header(path: &Path) -> Result<Value, WeightsError> {
    let read = |source| WeightsError::Read { path: path.to_owned(), source };
    let format = |reason: String| WeightsError::Format { path: path.to_owned(), reason };
    let mut file = File::open(path).map_err(read)?;
    let length = file.metadata().map_err(read)?.len();
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix).map_err(|_| format("it is shorter than 8 bytes".into()))?;
    let header_size = u64::from_le_bytes(prefix);
    if header_size > MAX_HEADER || header_size > length.saturating_sub(8) {
        return Err(format(format!("a header of {header_size} bytes does not fit in {length}")));
    }
    let mut header = vec![0; header_size as usize];
    file.read_exact(&mut header).map_err(read)?;
    serde_json::from_slice(&header).map_err(|e| format(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<WeightsInfo, WeightsError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        WeightsInfo::read(file.path())
    }

    fn with_header(header: &str) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
    }

    #[test]
    fn reads_the_info_and_refuses_the_rest() {
        let info =
            WeightsInfo { model: "yolov12n".into(), names: vec!["a".into()], imgsz: 320, epoch: 3 };
        let text = serde_json::to_string(&info).unwrap();
        let header = serde_json::json!({ "__metadata__": { METADATA_KEY: text } }).to_string();
        assert_eq!(read(&with_header(&header)).unwrap(), info);
        assert!(matches!(read(&with_header("{}")), Err(WeightsError::NoInfo { .. })));
        assert!(matches!(read(b"PK\x03\x04"), Err(WeightsError::Format { .. })));
        assert!(matches!(read(&u64::MAX.to_le_bytes()), Err(WeightsError::Format { .. })));
    }
}
