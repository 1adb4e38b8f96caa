//! Puts saved tensors back into the place of living ones.

use std::collections::HashMap;

use tch::{Tensor, no_grad};
use thiserror::Error;

/// Why a saved state does not fit. It belongs to another model, optimizer or setting: go on with
/// the one that it was saved from, or start anew.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum StateError {
    #[error("the saved state has no tensor `{0}`")]
    Missing(String),
    #[error("the saved tensor `{0}` belongs to nothing here")]
    Unknown(String),
    #[error("the saved tensor `{name}` has shape {saved:?}, here it is {here:?}")]
    Shape { name: String, saved: Vec<i64>, here: Vec<i64> },
}

/// Copies `saved` into `here`, name by name, after checking all of them.
pub fn restore(
    mut here: Vec<(String, Tensor)>,
    saved: &[(String, Tensor)],
) -> Result<(), StateError> {
    let saved: HashMap<&str, &Tensor> = saved.iter().map(|(n, t)| (n.as_str(), t)).collect();
    for (name, tensor) in &here {
        let found = saved.get(name.as_str()).ok_or_else(|| StateError::Missing(name.clone()))?;
        if found.size() != tensor.size() {
            let (saved, here) = (found.size(), tensor.size());
            return Err(StateError::Shape { name: name.clone(), saved, here });
        }
    }
    if saved.len() > here.len() {
        let mut unknown: Vec<_> =
            saved.keys().filter(|name| here.iter().all(|(n, _)| n != *name)).collect();
        unknown.sort_unstable();
        if let Some(name) = unknown.first() {
            return Err(StateError::Unknown((**name).to_owned()));
        }
    }
    no_grad(|| here.iter_mut().for_each(|(name, tensor)| tensor.copy_(saved[name.as_str()])));
    Ok(())
}
