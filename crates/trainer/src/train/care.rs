//! Keeping a training healthy: what the guard decides is carried out here, and said.

use tch::no_grad;
use ybox_spec::config::AttentionPath;
use ybox_spec::events::Event;
use ybox_spec::intervention::{Action, Cause, Intervention};

use super::guard::{Decision, Measured};
use super::session::Session;
use super::snapshot::{Snapshot, first_not_finite};
use crate::emit::Emitter;
use crate::error::TrainerError;

/// Where a training stands.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// From 0.
    pub epoch: u32,
    /// Steps taken.
    pub step: u64,
}

impl Session {
    /// Keeps the present state, if it is time and the state is healthy.
    pub(super) fn keep_healthy(
        &mut self,
        at: Place,
        emit: &mut Emitter,
    ) -> Result<(), TrainerError> {
        self.statistics.keep();
        if !self.guard.snapshot_due() {
            return Ok(());
        }
        self.heal(at, emit)?;
        let state = Snapshot::of(&self.model, &self.ema, &self.optimizer, self.scaler.as_ref());
        self.snapshot = state.after(at.step, self.guard.kept());
        Ok(())
    }

    /// Leaves a step out, with whatever `action` adds. `step` is what it measured.
    pub(super) fn refuse(
        &mut self,
        (cause, action): (Cause, Action),
        step: Measured,
        at: Place,
        emit: &mut Emitter,
    ) -> Result<(), TrainerError> {
        let Measured { loss, norm, pictures } = step;
        let numbers = format!("loss {loss:.4} of {pictures} pictures, gradient norm {norm:.4}");
        self.leave_out();
        self.act(cause, action, &numbers, at, emit)
    }

    /// Drops the gradients of a step and what its batches did to the running statistics.
    pub(super) fn leave_out(&mut self) {
        self.optimizer.zero_grad();
        self.statistics.restore();
    }

    /// Says that a validation had `pictures` whose losses are not finite.
    pub fn doubt(
        &mut self,
        pictures: u64,
        at: Place,
        emit: &mut Emitter,
    ) -> Result<(), TrainerError> {
        let detail = format!("of {pictures} pictures");
        self.act(Cause::ValidationNotFinite, Action::SetAside, &detail, at, emit)
    }

    /// Makes weights, statistics and average finite where they are not.
    ///
    /// # Errors
    /// When the weights are not, and everything was tried before.
    pub fn heal(&mut self, at: Place, emit: &mut Emitter) -> Result<(), TrainerError> {
        if let Some(name) = first_not_finite(&self.model.state_dict())
            && let Decision::Refuse(cause, action) = self.guard.weights_not_finite()
        {
            self.act(cause, action, &name, at, emit)?;
        }
        if first_not_finite(&self.ema.tensors()).is_some() {
            let mended = self.ema.mend().join(", ");
            self.act(Cause::AverageNotFinite, Action::MendAverage, &mended, at, emit)?;
        }
        Ok(())
    }

    fn act(
        &mut self,
        cause: Cause,
        action: Action,
        detail: &str,
        at: Place,
        emit: &mut Emitter,
    ) -> Result<(), TrainerError> {
        let done = self.tell(action);
        let (why, epoch, step) = (cause.sentence(), at.epoch + 1, at.step);
        let message = format!("epoch {epoch}, after step {step}: {why} ({detail}); {done}");
        emit.say(Event::Intervention(Intervention { epoch, step, cause, action, message }));
        match action {
            Action::Skip | Action::MendAverage | Action::SetAside => {}
            Action::RollBack => self.roll_back()?,
            Action::SafeAttention => {
                self.roll_back()?;
                self.change_attention(AttentionPath::Safe)?;
            }
            Action::Stop => return Err(TrainerError::Diverged { epoch, step, cause: why }),
        }
        Ok(())
    }

    fn tell(&self, action: Action) -> String {
        let (kept, lr) = (self.snapshot.step, self.guard.lr_target());
        let back =
            format!("back to the state after step {kept}, on with new batches at {lr} of lr");
        match action {
            Action::Skip => "the step is left out".into(),
            Action::RollBack => back,
            Action::SafeAttention if self.attention == AttentionPath::Safe => back,
            Action::SafeAttention => format!("{back} and safe attention"),
            Action::MendAverage => "taken from the weights".into(),
            Action::SetAside => {
                "the epoch counts as worse than all whose validation is finite".into()
            }
            Action::Stop => "everything was tried: training stops".into(),
        }
    }

    fn roll_back(&mut self) -> Result<(), TrainerError> {
        self.optimizer.zero_grad();
        self.pending = Default::default();
        no_grad(|| self.model.load_state_dict(&self.snapshot.model))?;
        self.ema.load_state(&self.snapshot.average)?;
        self.optimizer.load_state(&self.snapshot.optimizer)?;
        self.load_scale(self.snapshot.scaler);
        self.guard.go_back(&self.snapshot.usual);
        self.statistics.keep();
        Ok(())
    }
}
