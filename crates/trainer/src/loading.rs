//! Models with given weights.

use std::path::Path;

use ybox_spec::config::AttentionPath;

use crate::error::TrainerError;
use crate::job::Job;
use crate::model::{ModelSpec, Yolo12};
use crate::{numerics, weights};

/// The model `name` with the weights of the job.
pub fn load_model(
    job: &Job,
    name: &str,
    classes: usize,
    attention: AttentionPath,
) -> Result<Yolo12, TrainerError> {
    let path = job.weights.as_deref().ok_or(TrainerError::NoWeights)?;
    let spec = ModelSpec::parse(name, classes as i64)?;
    let model = Yolo12::new(spec, attention, numerics::device())?;
    load_weights(path, &model)?;
    Ok(model)
}

/// Copies the weights at `path` into `model`.
pub fn load_weights(path: &Path, model: &Yolo12) -> Result<(), TrainerError> {
    let weights = weights::read(path)?;
    Ok(model.load_state_dict(&weights.state)?)
}
