//! Writing a state dict as PyTorch does: a pickle of the plainest kind, and one file per tensor.
//! The bytes depend on the tensors and what is said of them only.

use std::io::{Cursor, Write};
use std::path::Path;

use safetensors::tensor::Dtype;
use tch::Tensor;
use ybox_spec::files::write_atomic;
use ybox_spec::weights::WeightsInfo;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::INFO;
use crate::weights::{FormatError, HostTensor, WeightsFileError};

/// The folder that everything in the zip is in.
const ROOT: &str = "weights";
/// Version of PyTorch's format.
const VERSION: &[u8] = b"3\n";
/// Tensors start at multiples of this, so that they can be mapped.
const ALIGNMENT: u16 = 64;

/// Writes `state` (fp32 and int64 tensors) to `path`, with `info` in an entry that PyTorch ignores.
pub fn write(
    path: &Path,
    state: &[(String, Tensor)],
    info: Option<&WeightsInfo>,
) -> Result<(), WeightsFileError> {
    let tensors = state
        .iter()
        .map(|(name, tensor)| Ok((name.as_str(), HostTensor::copy(name, tensor)?)))
        .collect::<Result<Vec<_>, FormatError>>();
    let tensors =
        tensors.map_err(|source| WeightsFileError::Format { path: path.to_owned(), source })?;
    encode(&tensors, info)
        .and_then(|bytes| write_atomic(path, &bytes))
        .map_err(|source| WeightsFileError::Write { path: path.to_owned(), source })
}

fn encode(tensors: &[(&str, HostTensor)], info: Option<&WeightsInfo>) -> std::io::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(0o644)
        .with_alignment(ALIGNMENT);
    let mut add = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("{ROOT}/{name}"), options)?;
        zip.write_all(bytes)
    };
    add("data.pkl", &pickle(tensors))?;
    add("byteorder", b"little")?;
    for (key, (_, tensor)) in tensors.iter().enumerate() {
        add(&format!("data/{key}"), &tensor.bytes)?;
    }
    add("version", VERSION)?;
    if let Some(info) = info {
        add(INFO, &serde_json::to_vec(info)?)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// `OrderedDict` of names and tensors, in protocol 2.
fn pickle(tensors: &[(&str, HostTensor)]) -> Vec<u8> {
    let mut pickle = Pickler(b"\x80\x02".to_vec());
    pickle.ordered_dict();
    pickle.code(b'(');
    for (key, (name, tensor)) in tensors.iter().enumerate() {
        pickle.text(name);
        pickle.tensor(&key.to_string(), tensor);
    }
    pickle.code(b'u');
    pickle.code(b'.');
    pickle.0
}

struct Pickler(Vec<u8>);

impl Pickler {
    fn code(&mut self, code: u8) {
        self.0.push(code);
    }

    fn global(&mut self, module: &str, name: &str) {
        self.0.extend(format!("c{module}\n{name}\n").into_bytes());
    }

    fn text(&mut self, text: &str) {
        self.code(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
    }

    fn int(&mut self, value: usize) {
        let value = i32::try_from(value).expect("a tensor of a model has fewer elements");
        self.code(b'J');
        self.0.extend(value.to_le_bytes());
    }

    /// An empty one.
    fn ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.0.extend(b")R");
    }

    fn ints(&mut self, values: &[usize]) {
        self.code(b'(');
        values.iter().for_each(|value| self.int(*value));
        self.code(b't');
    }

    /// `_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`
    fn tensor(&mut self, key: &str, tensor: &HostTensor) {
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.code(b'(');
        self.storage(key, tensor);
        self.int(0);
        self.ints(&tensor.shape);
        self.ints(&strides(&tensor.shape));
        self.code(0x89);
        self.ordered_dict();
        self.0.extend(b"tR");
    }

    /// `("storage", class, key, device, elements)`, kept outside the pickle.
    fn storage(&mut self, key: &str, tensor: &HostTensor) {
        self.code(b'(');
        self.text("storage");
        self.global(
            "torch",
            if tensor.dtype == Dtype::I64 { "LongStorage" } else { "FloatStorage" },
        );
        self.text(key);
        self.text("cpu");
        self.int(tensor.shape.iter().product());
        self.0.extend(b"tQ");
    }
}

/// Of a row-major tensor, in elements.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}
