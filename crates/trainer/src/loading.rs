//! Models with given weights.

use tch::Tensor;
use ybox_spec::config::{AttentionPath, Compat};

use crate::error::TrainerError;
use crate::job::Job;
use crate::model::{ModelSpec, Yolo12};
use crate::{numerics, weights};

/// Tensors by name.
type State = Vec<(String, Tensor)>;

/// The model `name` with the weights of the job, in the graph of those weights.
pub fn load_model(
    job: &Job,
    name: &str,
    classes: usize,
    attention: AttentionPath,
) -> Result<Yolo12, TrainerError> {
    let path = job.weights.as_deref().ok_or(TrainerError::NoWeights)?;
    let state = weights::read(path)?.state;
    let spec = ModelSpec::parse(name, classes as i64)?.that_has(names(&state));
    let model = Yolo12::new(spec, attention, numerics::device())?;
    model.load_state_dict(&state)?;
    Ok(model)
}

/// What a training starts from: the graph of `name`, and the weights of the job if it has some.
pub fn starting_point(
    job: &Job,
    name: &str,
    classes: usize,
    compat: Compat,
) -> Result<(ModelSpec, Option<State>), TrainerError> {
    let published = ModelSpec::parse(name, classes as i64)?;
    let state = job.weights.as_deref().map(weights::read).transpose()?.map(|w| w.state);
    let spec = match (compat, &state) {
        (Compat::Paper, _) => published,
        (Compat::None, Some(state)) => published.that_has(names(state)),
        (Compat::None, None) => published.with_residual_scaling(),
    };
    Ok((spec, state))
}

fn names(state: &[(String, Tensor)]) -> impl Iterator<Item = &str> {
    state.iter().map(|(name, _)| name.as_str())
}
