//! What of a session a checkpoint holds, and a session that goes on from it.

use serde::{Deserialize, Serialize};
use tch::no_grad;
use ybox_spec::config::AttentionPath;

use crate::error::TrainerError;
use crate::numerics;
use crate::optim::GradScaler;
use crate::optim::grad_scaler::State;
use crate::train::guard::{Guard, Usual};
use crate::train::pending::Pending;
use crate::train::session::Session;
use crate::train::snapshot::{Named, Snapshot, copies};
use crate::train::sums::Sums;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionState {
    /// From 0; of it, `sums.batches` batches are done.
    pub epoch: u32,
    pub sums: Sums,
    guard: Guard,
    attention: AttentionPath,
    /// Batches and pictures whose gradients wait for a step.
    pending: (u32, u64),
    /// Parameters that have a gradient, which is zero where no batches wait.
    gradients: Vec<String>,
    scaler: Option<State>,
    /// Steps before the state that a rollback goes to, what was usual then, and the scaler's state.
    healthy: (u64, Usual, Option<State>),
}

/// Prefixes of the names of tensors.
const MODEL: &str = "model.";
const AVERAGE: &str = "average.";
const OPTIMIZER: &str = "optimizer.";
const GRADIENT: &str = "gradient.";
const STATISTICS: &str = "statistics.";
const HEALTHY: &str = "healthy.";
const PENDING: &str = "pending";

impl Session {
    /// Everything that the batches to come depend on, copied.
    pub fn state(&self) -> (SessionState, Named) {
        let gradients = self.optimizer.named_gradients();
        let state = SessionState {
            epoch: self.epoch,
            sums: self.sums.clone(),
            guard: self.guard.clone(),
            attention: self.attention,
            pending: (self.pending.batches, self.pending.pictures),
            gradients: gradients.iter().map(|(name, _)| name.clone()).collect(),
            scaler: self.scaler.as_ref().map(GradScaler::state),
            healthy: (self.snapshot.step, self.snapshot.usual.clone(), self.snapshot.scaler),
        };
        let mut tensors = self.state_tensors();
        if self.pending.batches > 0 {
            tensors.extend(prefixed(GRADIENT, copies(gradients)));
        }
        (state, tensors)
    }

    fn state_tensors(&self) -> Named {
        let Snapshot { model, average, optimizer, .. } = &self.snapshot;
        let healthy = [(MODEL, model), (AVERAGE, average), (OPTIMIZER, optimizer)];
        // A snapshot never changes: it need not be copied.
        let healthy = healthy.into_iter().flat_map(|(part, tensors)| {
            let tensors = tensors.iter().map(|(name, t)| (name.clone(), t.shallow_clone()));
            prefixed(&format!("{HEALTHY}{part}"), tensors.collect())
        });
        let living = [
            (MODEL, self.model.state_dict()),
            (AVERAGE, self.ema.state()),
            (OPTIMIZER, self.optimizer.state()),
            (STATISTICS, self.statistics.state()),
        ];
        let living = living.into_iter().flat_map(|(part, t)| prefixed(part, copies(t)));
        let pending = (PENDING.to_owned(), self.pending.values());
        living.chain(healthy).chain([pending]).collect()
    }

    /// Goes on from what [`Self::state`] gave.
    pub fn restore(&mut self, state: &SessionState, tensors: Named) -> Result<(), TrainerError> {
        if state.attention != self.attention {
            self.change_attention(state.attention)?;
        }
        let part = |prefix: &str| part(&tensors, prefix);
        no_grad(|| self.model.load_state_dict(&part(MODEL)))?;
        self.ema.load_state(&part(AVERAGE))?;
        self.optimizer.load_state(&part(OPTIMIZER))?;
        self.statistics.load_state(&part(STATISTICS))?;
        self.optimizer.zero_gradients_of(&state.gradients);
        if state.pending.0 > 0 {
            self.optimizer.load_gradients(&part(GRADIENT))?;
        }
        let pending = &part(PENDING)[0].1;
        self.pending = Pending::resume(state.pending, pending, numerics::device());
        self.load_scale(state.scaler);
        let (step, usual, scaler) = state.healthy.clone();
        self.snapshot = Snapshot {
            step,
            usual,
            model: part(&format!("{HEALTHY}{MODEL}")),
            average: part(&format!("{HEALTHY}{AVERAGE}")),
            optimizer: part(&format!("{HEALTHY}{OPTIMIZER}")),
            scaler,
        };
        self.guard = state.guard.clone();
        (self.epoch, self.sums) = (state.epoch, state.sums.clone());
        Ok(())
    }
}

fn prefixed(prefix: &str, tensors: Named) -> Named {
    tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect()
}

/// The tensors whose names begin with `prefix`, without it.
fn part(tensors: &Named, prefix: &str) -> Named {
    let named = tensors.iter().filter_map(|(name, tensor)| {
        Some((name.strip_prefix(prefix)?.to_owned(), tensor.shallow_clone()))
    });
    named.collect()
}
