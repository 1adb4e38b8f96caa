//! Weights files: a model's state dict as safetensors, with [`WeightsInfo`] in the header. Whether
//! names and shapes fit a model is decided by `Yolo12::load_state_dict`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView, View, serialize};
use serde::de::DeserializeOwned;
use tch::{Device, Kind, TchError, Tensor};
use ybox_spec::Digest;
use ybox_spec::chain::PARAMETERS_DOMAIN;
use ybox_spec::digest::Hasher;
use ybox_spec::files::write_atomic;
use ybox_spec::weights::{METADATA_KEY, WeightsInfo};

#[derive(Debug, thiserror::Error)]
pub enum WeightsFileError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is not a safetensors file of weights: {source}", path.display())]
    Format { path: PathBuf, source: FormatError },
}

/// What is wrong with the bytes of a weights file, or with tensors that should become one.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error(transparent)]
    Safetensors(#[from] SafeTensorError),
    #[error("its metadata: {0}")]
    Info(#[from] serde_json::Error),
    #[error("tensor `{name}` is {found}; weights are F32, F16 or I64")]
    Kind { name: String, found: String },
    #[error(transparent)]
    Torch(#[from] TchError),
}

/// Tensors by name.
type Named = Vec<(String, Tensor)>;

/// The content of a weights file.
#[derive(Debug)]
pub struct Weights {
    /// Absent in files that others made.
    pub info: Option<WeightsInfo>,
    /// Sorted by name, on the CPU; floating-point tensors are fp32.
    pub state: Vec<(String, Tensor)>,
}

/// Writes `state` (fp32 and int64 tensors on any device) to `path`; returns the digest of the file.
/// The bytes depend on the tensors' values and `info` only.
pub fn write(
    path: &Path,
    state: &[(String, Tensor)],
    info: &WeightsInfo,
) -> Result<Digest, WeightsFileError> {
    let format = |source| WeightsFileError::Format { path: path.to_owned(), source };
    let bytes = encode(state, info).map_err(format)?;
    write_atomic(path, &bytes)
        .map_err(|source| WeightsFileError::Write { path: path.to_owned(), source })?;
    Ok(Digest::of(&bytes))
}

/// Digest over names, kinds, shapes and values of `state` (fp32 and int64), by name.
pub fn digest(state: &[(String, Tensor)]) -> Result<Digest, FormatError> {
    let mut hasher = Hasher::new();
    hasher.update(format!("{PARAMETERS_DOMAIN}\n").as_bytes());
    let mut state: Vec<_> = state.iter().collect();
    state.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, tensor) in state {
        let HostTensor { dtype, shape, bytes } = HostTensor::copy(name, tensor)?;
        hasher.update(format!("{name} {dtype:?} {shape:?}\n").as_bytes());
        hasher.update(&bytes);
    }
    Ok(hasher.finish())
}

/// Reads the file at `path`; fp16 tensors are widened, which is exact.
pub fn read(path: &Path) -> Result<Weights, WeightsFileError> {
    let bytes = std::fs::read(path)
        .map_err(|source| WeightsFileError::Read { path: path.to_owned(), source })?;
    decode(&bytes).map_err(|source| WeightsFileError::Format { path: path.to_owned(), source })
}

fn encode(state: &[(String, Tensor)], info: &WeightsInfo) -> Result<Vec<u8>, FormatError> {
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), serde_json::to_string(info)?)]);
    let tensors = state
        .iter()
        .map(|(name, tensor)| Ok((name, HostTensor::copy(name, tensor)?)))
        .collect::<Result<Vec<_>, FormatError>>()?;
    // Sorts by element size and name.
    Ok(serialize(tensors, Some(metadata))?)
}

fn decode(bytes: &[u8]) -> Result<Weights, FormatError> {
    let (info, mut state) = parse(bytes, METADATA_KEY)?;
    state.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Weights { info, state })
}

/// What a safetensors file says under `key`, in JSON, and its tensors, as in [`Weights`] but not
/// sorted.
pub fn parse<T: DeserializeOwned>(
    bytes: &[u8],
    key: &str,
) -> Result<(Option<T>, Named), FormatError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let said = header.metadata().as_ref().and_then(|metadata| metadata.get(key));
    let said = said.map(|text| serde_json::from_str(text)).transpose()?;
    let file = SafeTensors::deserialize(bytes)?;
    let tensors = file.iter().map(|(name, view)| Ok((name.to_owned(), tensor(name, &view)?)));
    Ok((said, tensors.collect::<Result<_, FormatError>>()?))
}

fn tensor(name: &str, view: &TensorView) -> Result<Tensor, FormatError> {
    let (stored, wanted) = match view.dtype() {
        Dtype::F32 => (Kind::Float, Kind::Float),
        Dtype::F16 => (Kind::Half, Kind::Float),
        Dtype::I64 => (Kind::Int64, Kind::Int64),
        other => {
            return Err(FormatError::Kind { name: name.to_owned(), found: format!("{other:?}") });
        }
    };
    let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
    Ok(Tensor::f_from_data_size(view.data(), &shape, stored)?.f_to_kind(wanted)?)
}

/// A tensor's values as a file holds them: row-major, little-endian.
pub(crate) struct HostTensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// How a file calls the kind of `tensor`, and the bytes of one value.
pub fn kind(name: &str, tensor: &Tensor) -> Result<(Dtype, usize), FormatError> {
    match tensor.kind() {
        Kind::Float => Ok((Dtype::F32, 4)),
        Kind::Int64 => Ok((Dtype::I64, 8)),
        other => Err(FormatError::Kind { name: name.to_owned(), found: format!("{other:?}") }),
    }
}

impl HostTensor {
    pub fn copy(name: &str, tensor: &Tensor) -> Result<Self, FormatError> {
        let (dtype, size) = kind(name, tensor)?;
        let host = tensor.detach().f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut bytes = vec![0; host.numel() * size];
        host.f_copy_data_u8(&mut bytes, host.numel())?;
        let shape = host.size().into_iter().map(|side| side as usize).collect();
        Ok(Self { dtype, shape, bytes })
    }
}

impl View for HostTensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> WeightsInfo {
        WeightsInfo { model: "yolov12n".into(), names: vec!["cat".into()], imgsz: 64, epoch: 2 }
    }

    fn state() -> Vec<(String, Tensor)> {
        let values = Tensor::from_slice(&[1.5f32, -0.0, f32::MIN_POSITIVE, 3.0, 4.0, 5.0]);
        vec![
            // Not contiguous: written row by row all the same.
            ("b".into(), values.view([2, 3]).tr()),
            ("a".into(), Tensor::from(7i64)),
        ]
    }

    #[test]
    fn what_was_written_is_read_and_the_order_given_is_no_matter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        write(&path, &state(), &info()).unwrap();
        let read = read(&path).unwrap();
        assert_eq!(read.info, Some(info()));
        assert_eq!(WeightsInfo::read(&path).unwrap(), info());
        let names: Vec<&str> = read.state.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(read.state[0].1, Tensor::from(7i64));
        assert_eq!(read.state[1].1, state()[0].1);

        let reversed: Vec<_> = state().into_iter().rev().collect();
        assert_eq!(encode(&state(), &info()).unwrap(), encode(&reversed, &info()).unwrap());
    }

    #[test]
    fn fp16_is_widened_and_other_kinds_are_refused() {
        let bytes = |dtype, data: &[u8]| {
            let view = TensorView::new(dtype, vec![2], data).unwrap();
            serialize([("x", view)], None).unwrap()
        };
        let half = decode(&bytes(Dtype::F16, &[0x00, 0x3c, 0x01, 0x00])).unwrap();
        assert_eq!(half.info, None);
        assert_eq!(half.state[0].1, Tensor::from_slice(&[1.0f32, 2f32.powi(-24)]));
        assert!(matches!(decode(&bytes(Dtype::U8, &[1, 2])), Err(FormatError::Kind { .. })));
        let double = vec![("x".to_owned(), Tensor::from(1.0f64))];
        assert!(matches!(encode(&double, &info()), Err(FormatError::Kind { .. })));
    }

    #[test]
    fn damaged_files_are_refused() {
        let whole = encode(&state(), &info()).unwrap();
        for length in [0, 7, 8, 40, whole.len() - 1] {
            assert!(decode(&whole[..length]).is_err(), "cut to {length} bytes");
        }
    }
}
