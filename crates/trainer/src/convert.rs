//! `ytrain convert`: weights from PyTorch's form to safetensors in our terms, and back.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;

use tch::{Device, Tensor};
use ybox_spec::config::AttentionPath;
use ybox_spec::weights::WeightsInfo;

use crate::error::TrainerError;
use crate::model::{Graph, ModelSpec, Scale, Yolo12};
use crate::pytorch::{self, Contents, PytorchError};
use crate::weights;

/// Taken where a checkpoint does not say what it was trained at.
const IMGSZ: u32 = 640;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Weights in either form
    input: PathBuf,
    /// What to write: FILE.safetensors or FILE.pt
    output: PathBuf,
    /// The model, where names and shapes of the tensors do not tell
    #[arg(long)]
    model: Option<String>,
    /// Class names, where the checkpoint has none
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    names: Option<Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    #[error("{} ends neither in .safetensors nor in .pt", .0.display())]
    Ending(PathBuf),
    #[error("{} is not of a YOLOv12 detector", .0.display())]
    OtherModel(PathBuf),
    #[error("there are {given} class names for {classes} classes")]
    Names { given: usize, classes: i64 },
    #[error(transparent)]
    Pytorch(#[from] PytorchError),
}

pub fn main(args: &Args) -> ExitCode {
    match convert(args) {
        Ok(said) => {
            eprintln!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Converts, and returns what there is to say.
fn convert(args: &Args) -> Result<String, TrainerError> {
    match args.output.extension().and_then(OsStr::to_str) {
        Some("safetensors") => from_pytorch(args),
        Some("pt" | "pth") => to_pytorch(args),
        _ => Err(ConvertError::Ending(args.output.clone()).into()),
    }
}

fn to_pytorch(args: &Args) -> Result<String, TrainerError> {
    let weights = weights::read(&args.input)?;
    pytorch::write(&args.output, &weights.state, weights.info.as_ref())?;
    Ok(format!("a state dict of {} tensors", weights.state.len()))
}

fn from_pytorch(args: &Args) -> Result<String, TrainerError> {
    let contents = pytorch::read(&args.input).map_err(ConvertError::from)?;
    let (spec, info) = describe(args, &contents)?;
    let model = Yolo12::new(spec, AttentionPath::Safe, Device::Cpu)?;
    model.load_state_dict(&contents.state)?;
    weights::write(&args.output, &model.state_dict(), &info)?;
    let WeightsInfo { model, names, imgsz, epoch } = info;
    Ok(format!("{model}, {} classes, imgsz {imgsz}, {epoch} epochs", names.len()))
}

/// Which model it is, from what was given, else what the file says, else its tensors.
fn describe(args: &Args, contents: &Contents) -> Result<(ModelSpec, WeightsInfo), TrainerError> {
    let unknown = || ConvertError::OtherModel(args.input.clone());
    let classes = rows(&contents.state, "model.21.cv3.0.2.weight").ok_or_else(unknown)?;
    let said = contents.info.as_ref();
    let model = args.model.clone().or_else(|| said.map(|info| info.model.clone()));
    let model = match model {
        Some(model) => model,
        None => told_by_tensors(&contents.state).ok_or_else(unknown)?,
    };
    let names = contents.state.iter().map(|(name, _)| name.as_str());
    let spec = ModelSpec::parse(&model, classes)?.that_has(names);
    let found = said.map(|info| &info.names).or(contents.names.as_ref());
    let names = match args.names.as_ref().or(found) {
        Some(names) if names.len() as i64 == classes => names.clone(),
        Some(names) => {
            return Err(ConvertError::Names { given: names.len(), classes }.into());
        }
        None => (0..classes).map(|class| class.to_string()).collect(),
    };
    let imgsz = said.map(|info| info.imgsz).or(contents.imgsz).unwrap_or(IMGSZ);
    let epoch = said.map(|info| info.epoch).or(contents.epochs).unwrap_or(0);
    Ok((spec, WeightsInfo { model, names, imgsz, epoch }))
}

/// The name of the model that has such tensors. That all of them fit is checked when they are
/// loaded.
fn told_by_tensors(state: &[(String, Tensor)]) -> Option<String> {
    let has = |part: &str| state.iter().any(|(name, _)| name.contains(part));
    let graph = match (has(".attn.qk.conv."), has(".attn.qkv.conv.")) {
        (true, false) => Graph::Turbo,
        (false, true) => Graph::V1,
        _ => return None,
    };
    let scale = match rows(state, "model.0.conv.weight")? {
        16 => Scale::N,
        32 => Scale::S,
        // As wide as each other, but the larger is deeper.
        64 if has("model.2.m.1.") => Scale::L,
        64 => Scale::M,
        96 => Scale::X,
        _ => return None,
    };
    Some(format!("{}{}", graph.name(), scale.letter()))
}

fn rows(state: &[(String, Tensor)], name: &str) -> Option<i64> {
    let (_, tensor) = state.iter().find(|(other, _)| other == name)?;
    tensor.size().first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_told_by_its_tensors() {
        for name in ybox_spec::config::model_names() {
            let spec = ModelSpec::parse(&name, 3).unwrap();
            let model = Yolo12::new(spec, AttentionPath::Safe, Device::Cpu).unwrap();
            let state = model.state_dict();
            assert_eq!(told_by_tensors(&state).as_ref(), Some(&name));
            assert_eq!(rows(&state, "model.21.cv3.0.2.weight"), Some(3));
        }
    }
}
