//! The task `export`: weights as an ONNX graph that needs nothing of ours to run. The graph is
//! written from the model's structure and state dict, not traced, and its bytes follow from them
//! and the config alone. It works on one picture of a fixed size, in fp32.

mod builder;
mod head;
mod network;
mod onnx;

use std::collections::BTreeMap;

use prost::Message;
use tch::{Kind, Tensor};
use ybox_spec::config::{Config, ExportConfig, Task};
use ybox_spec::events::{Event, Images};
use ybox_spec::files;

use self::builder::{Array, Builder, Map};
use self::onnx::{Graph, IR_VERSION, Model, OPSET, OperatorSet, Property, ValueInfo};
use crate::error::TrainerError;
use crate::job::Job;
use crate::loading::load_model;
use crate::model::{STRIDES, Yolo12};

/// Name of the graph's input: `[1, 3, imgsz, imgsz]`, red, green, blue in 0..1.
pub const INPUT: &str = "images";
pub use head::OUTPUT;

/// File name in the run folder.
const FILE: &str = "model.onnx";

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(
        "{} tensors of the model have no place in the graph, the first is {}",
        names.len(), names.first().map_or("", String::as_str)
    )]
    LeftOver { names: Vec<String> },
    #[error("the model's tensors cannot be read: {0}")]
    Tensor(#[from] tch::TchError),
}

pub fn run(config: &ExportConfig, job: &mut Job) -> Result<(), TrainerError> {
    let attention = Config::EXPORT_COMPUTE.attention;
    let model = load_model(job, &config.model, config.names.len(), attention)?;
    job.emit.say(Event::Start {
        task: Task::Export,
        version: env!("CARGO_PKG_VERSION").into(),
        model: config.model.clone(),
        parameters: model.parameter_count() as u64,
        images: Images::default(),
    });
    let exported = to_onnx(&model, config)?;
    let path = job.out.join(FILE);
    files::write_atomic(&path, &exported.bytes).map_err(TrainerError::writing(&path))?;
    job.emit.say(Event::Exported {
        path: FILE.into(),
        bytes: exported.bytes.len() as u64,
        input: exported.input,
        output: exported.output,
    });
    Ok(())
}

/// A graph as a file holds it.
#[derive(Debug)]
pub struct Exported {
    pub bytes: Vec<u8>,
    /// Shapes.
    pub input: Vec<i64>,
    pub output: Vec<i64>,
}

/// Writes `model` as ONNX.
///
/// # Errors
/// When the model has parts that the graph does not know.
pub fn to_onnx(model: &Yolo12, config: &ExportConfig) -> Result<Exported, ExportError> {
    let side = i64::from(config.imgsz);
    let input = vec![1, 3, side, side];
    let mut g = Builder::new(host_state(model)?);
    let image = Map { name: INPUT.into(), c: 3, h: side, w: side };
    let levels = network::features(&mut g, image);
    let found = head::decoded(&mut g, &levels);
    let (output, shape) = match config.suppress {
        true => head::kept_predictions(&mut g, &found, &config.nms),
        false => head::all_predictions(&mut g, &found),
    };
    match g.left_over() {
        names if names.is_empty() => {}
        names => return Err(ExportError::LeftOver { names }),
    }
    let graph = Graph {
        node: g.nodes,
        name: config.model.clone(),
        initializer: g.constants,
        input: vec![ValueInfo::floats(INPUT, &input)],
        output: vec![output],
    };
    Ok(Exported { bytes: file(graph, config).encode_to_vec(), input, output: shape })
}

/// The state dict without what only training needs.
fn host_state(model: &Yolo12) -> Result<BTreeMap<String, Array>, ExportError> {
    let state = model.state_dict().into_iter().filter(|(_, tensor)| tensor.kind() == Kind::Float);
    state.map(|(name, tensor)| Ok((name, host(&tensor)?))).collect()
}

fn host(tensor: &Tensor) -> Result<Array, ExportError> {
    let flat = tensor.f_to_device(tch::Device::Cpu)?.f_flatten(0, -1)?;
    Ok(Array { shape: tensor.size(), values: Vec::<f32>::try_from(flat)? })
}

fn file(graph: Graph, config: &ExportConfig) -> Model {
    Model {
        ir_version: IR_VERSION,
        producer_name: "ybox".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata_props: metadata(config),
    }
}

/// What other tools look for beside the graph, in the form that they read: Python literals.
fn metadata(config: &ExportConfig) -> Vec<Property> {
    let names = config.names.iter().enumerate().map(|(class, name)| {
        // A JSON string is a Python string too.
        format!("{class}: {}", serde_json::Value::from(name.as_str()))
    });
    let names = names.collect::<Vec<_>>().join(", ");
    let mut properties = vec![
        Property::new("task", "detect".into()),
        Property::new("model", config.model.clone()),
        Property::new("names", format!("{{{names}}}")),
        Property::new("imgsz", format!("[{0}, {0}]", config.imgsz)),
        Property::new("stride", STRIDES[2].to_string()),
        Property::new("batch", "1".into()),
    ];
    if config.suppress {
        let nms = &config.nms;
        properties.push(Property::new("conf", nms.conf.to_string()));
        properties.push(Property::new("iou", nms.iou.to_string()));
        properties.push(Property::new("max_det", nms.max_det.to_string()));
    }
    properties
}
