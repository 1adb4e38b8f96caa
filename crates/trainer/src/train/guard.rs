//! Decides what becomes of a step, from its loss and the norm of its gradient: taken, left out,
//! or more than that when it keeps happening. Plain numbers: carrying it out is the session's.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use ybox_spec::intervention::{Action, Cause};

/// Steps that loss and norm are compared with. Fewer say little about how far they scatter.
const WINDOW: usize = 100;

/// A spike exceeds the medians of loss and norm this many times, both at once. Hard pictures double
/// a loss, and a gradient alone is large now and then: neither is a reason to change a training.
const LOSS_SPIKE: f32 = 3.0;
const NORM_SPIKE: f32 = 5.0;

/// It also lies this many times the median deviation above the median: values that scatter widely
/// have their large ones.
const DEVIATIONS: f32 = 10.0;

/// So many steps left out among the last [`RECENT`] are more than bad luck with a batch.
const PATIENCE: usize = 3;
const RECENT: u64 = 20;

/// Steps between two states that can be gone back to: what a rollback loses, at most, beside the
/// time of a copy of everything.
const SNAPSHOT_STEPS: u64 = 100;

/// After a rollback the learning rate rises to its new value over so many steps.
const REWARM_STEPS: u64 = 50;

/// What a step is judged by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Sum over the pictures.
    pub loss: f32,
    /// Of the gradient of that sum, before clipping.
    pub norm: f32,
    pub pictures: u64,
}

/// What becomes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Take,
    /// Left out, with whatever the action adds.
    Refuse(Cause, Action),
}

/// Loss and norm, per picture, of the last steps taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<[f64; 2]>", into = "Vec<[f64; 2]>")]
pub struct Usual(VecDeque<[f32; 2]>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// Pictures of a full step.
    full: u64,
    judged: u64,
    usual: Usual,
    /// Which of the judged steps were left out lately.
    refused: VecDeque<u64>,
    rollbacks: u32,
    taken_since_rollback: u64,
    taken_since_snapshot: u64,
}

impl Guard {
    /// `full`: pictures of a step after the warm-up.
    pub fn new(full: u64) -> Self {
        Self {
            full,
            judged: 0,
            usual: Usual::default(),
            refused: VecDeque::new(),
            rollbacks: 0,
            taken_since_rollback: 0,
            taken_since_snapshot: 0,
        }
    }

    pub fn judge(&mut self, step: Measured) -> Decision {
        self.judged += 1;
        match self.trouble(step) {
            Some(cause) => self.refuse(cause),
            None => {
                self.take(step);
                Decision::Take
            }
        }
    }

    /// Weights that are not finite can't be mended by leaving a step out.
    pub fn weights_not_finite(&mut self) -> Decision {
        self.escalate(Cause::WeightsNotFinite)
    }

    /// What the schedule's learning rates are multiplied with: 1 until a rollback.
    pub fn lr_share(&self) -> f64 {
        if self.rollbacks == 0 {
            return 1.0;
        }
        let warm = (self.taken_since_rollback + 1).min(REWARM_STEPS) as f64 / REWARM_STEPS as f64;
        self.lr_target() * warm
    }

    /// Where [`Self::lr_share`] rises to.
    pub fn lr_target(&self) -> f64 {
        0.5f64.powi(self.rollbacks as i32)
    }

    /// Whether the present state should be kept: often enough, and not in the midst of trouble.
    pub fn snapshot_due(&self) -> bool {
        let calm = self.refused.back().is_none_or(|last| self.judged - last >= RECENT);
        calm && self.taken_since_snapshot >= SNAPSHOT_STEPS
    }

    /// The present state was kept; what of it is the guard's.
    pub fn kept(&mut self) -> Usual {
        self.taken_since_snapshot = 0;
        self.usual.clone()
    }

    /// Goes back to a state that was kept. What was tried stays known.
    pub fn go_back(&mut self, usual: &Usual) {
        self.usual = usual.clone();
        self.taken_since_snapshot = 0;
    }

    fn trouble(&self, step: Measured) -> Option<Cause> {
        if !step.loss.is_finite() {
            return Some(Cause::LossNotFinite);
        }
        if !step.norm.is_finite() {
            return Some(Cause::GradientNotFinite);
        }
        (self.compares(step) && self.usual.is_exceeded_by(step.by_picture()))
            .then_some(Cause::Spike)
    }

    /// A step of few pictures scatters too much to be compared.
    fn compares(&self, step: Measured) -> bool {
        2 * step.pictures >= self.full
    }

    fn take(&mut self, step: Measured) {
        self.taken_since_rollback += 1;
        self.taken_since_snapshot += 1;
        if self.compares(step) {
            self.usual.add(step.by_picture());
        }
    }

    fn refuse(&mut self, cause: Cause) -> Decision {
        let now = self.judged;
        self.refused.push_back(now);
        self.refused.retain(|refused| now - refused < RECENT);
        match self.refused.len() < PATIENCE {
            true => Decision::Refuse(cause, Action::Skip),
            false => self.escalate(cause),
        }
    }

    /// Never the same twice: the learning rate falls, then the arithmetic changes, then it ends.
    fn escalate(&mut self, cause: Cause) -> Decision {
        self.refused.clear();
        self.rollbacks += 1;
        self.taken_since_rollback = 0;
        let action = match self.rollbacks {
            1 => Action::RollBack,
            2 => Action::SafeAttention,
            _ => Action::Stop,
        };
        Decision::Refuse(cause, action)
    }
}

impl Measured {
    /// Steps accumulate more or fewer pictures.
    fn by_picture(self) -> [f32; 2] {
        [self.loss, self.norm].map(|sum| sum / self.pictures.max(1) as f32)
    }
}

/// Through f64, which text holds exactly.
impl From<Vec<[f64; 2]>> for Usual {
    fn from(steps: Vec<[f64; 2]>) -> Self {
        Self(steps.into_iter().map(|step| step.map(|value| value as f32)).collect())
    }
}

impl From<Usual> for Vec<[f64; 2]> {
    fn from(usual: Usual) -> Self {
        usual.0.into_iter().map(|step| step.map(f64::from)).collect()
    }
}

impl Usual {
    fn add(&mut self, step: [f32; 2]) {
        if self.0.len() == WINDOW {
            self.0.pop_front();
        }
        self.0.push_back(step);
    }

    fn is_exceeded_by(&self, step: [f32; 2]) -> bool {
        let times = [LOSS_SPIKE, NORM_SPIKE];
        self.0.len() == WINDOW && (0..2).all(|i| self.exceeds(i, step[i], times[i]))
    }

    fn exceeds(&self, column: usize, value: f32, times: f32) -> bool {
        let values: Vec<f32> = self.0.iter().map(|step| step[column]).collect();
        let middle = median(values.clone());
        let deviation = median(values.iter().map(|value| (value - middle).abs()).collect());
        value > times * middle && value > middle + DEVIATIONS * deviation
    }
}

/// The upper one of two.
fn median(mut values: Vec<f32>) -> f32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: u64 = 64;

    fn step(loss: f32, norm: f32) -> Measured {
        Measured { loss: loss * FULL as f32, norm: norm * FULL as f32, pictures: FULL }
    }

    /// After a full window of losses of 4 to 5 and norms of 1 to 1.5.
    fn settled() -> Guard {
        let mut guard = Guard::new(FULL);
        for i in 0..WINDOW {
            let wave = (i % 11) as f32 / 10.0;
            assert_eq!(guard.judge(step(4.0 + wave, 1.0 + wave / 2.0)), Decision::Take);
        }
        guard
    }

    fn repeat(guard: &mut Guard, times: u64, step: Measured) {
        for _ in 0..times {
            guard.judge(step);
        }
    }

    fn not_finite() -> Measured {
        step(f32::NAN, 1.0)
    }

    fn refused(action: Action) -> Decision {
        Decision::Refuse(Cause::LossNotFinite, action)
    }

    /// Three bad steps in a row; what the last of them led to.
    fn fails(guard: &mut Guard) -> Decision {
        assert_eq!(guard.judge(not_finite()), refused(Action::Skip));
        assert_eq!(guard.judge(not_finite()), refused(Action::Skip));
        guard.judge(not_finite())
    }

    #[test]
    fn what_is_not_finite_is_refused_from_the_first_step_on() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let decision = Guard::new(FULL).judge(step(value, 1.0));
            assert_eq!(decision, Decision::Refuse(Cause::LossNotFinite, Action::Skip));
            let decision = Guard::new(FULL).judge(step(1.0, value));
            assert_eq!(decision, Decision::Refuse(Cause::GradientNotFinite, Action::Skip));
        }
    }

    #[test]
    fn a_spike_is_one_of_loss_and_norm_together() {
        let spike = Decision::Refuse(Cause::Spike, Action::Skip);
        for (loss, norm, decision) in [
            (4.0, 1.0, Decision::Take),
            (50.0, 1.5, Decision::Take),
            (5.0, 50.0, Decision::Take),
            (9.0, 4.0, Decision::Take),
            (14.0, 7.0, spike),
            (1e30, 1e30, spike),
        ] {
            assert_eq!(settled().judge(step(loss, norm)), decision, "{loss} {norm}");
        }
    }

    #[test]
    fn values_that_scatter_widely_have_their_large_ones() {
        let mut guard = Guard::new(FULL);
        for i in 0..WINDOW {
            let wave = 1.0 + 9.0 * (i % 10) as f32 / 10.0;
            assert_eq!(guard.judge(step(wave, wave)), Decision::Take);
        }
        assert_eq!(guard.judge(step(28.0, 28.0)), Decision::Take);
    }

    #[test]
    fn nothing_is_a_spike_before_the_window_is_full() {
        let mut guard = Guard::new(FULL);
        for _ in 1..WINDOW {
            guard.judge(step(4.0, 1.0));
        }
        assert_eq!(guard.judge(step(400.0, 100.0)), Decision::Take);
    }

    #[test]
    fn more_pictures_are_no_spike_and_few_are_not_compared() {
        let quadruple = Measured { loss: 4.5 * 256.0, norm: 1.2 * 256.0, pictures: 256 };
        assert_eq!(settled().judge(quadruple), Decision::Take);
        let single = Measured { loss: 40.0, norm: 20.0, pictures: 1 };
        assert_eq!(settled().judge(single), Decision::Take);
    }

    #[test]
    fn bad_steps_far_apart_are_each_left_out() {
        let mut guard = settled();
        for _ in 0..20 {
            assert_eq!(guard.judge(not_finite()), refused(Action::Skip));
            repeat(&mut guard, RECENT / 2, step(4.5, 1.2));
        }
        assert_eq!(guard.lr_share(), 1.0);
    }

    #[test]
    fn repeated_ones_climb_the_ladder() {
        let mut guard = settled();
        assert_eq!(fails(&mut guard), refused(Action::RollBack));
        assert_eq!(guard.lr_target(), 0.5);
        repeat(&mut guard, 200, step(4.5, 1.2));
        assert_eq!(fails(&mut guard), refused(Action::SafeAttention));
        assert_eq!(guard.lr_target(), 0.25);
        assert_eq!(fails(&mut guard), refused(Action::Stop));
    }

    #[test]
    fn the_rate_rises_to_half_after_a_rollback() {
        let mut guard = settled();
        assert_eq!(guard.lr_share(), 1.0);
        fails(&mut guard);
        let mut shares = Vec::new();
        for _ in 0..=REWARM_STEPS {
            shares.push(guard.lr_share());
            guard.judge(step(4.5, 1.2));
        }
        assert_eq!((shares[0], shares[24], shares[49], shares[50]), (0.01, 0.25, 0.5, 0.5));
        assert!(shares.is_sorted());
    }

    #[test]
    fn a_guard_is_the_same_after_it_was_written_down() {
        let mut guard = settled();
        fails(&mut guard);
        guard.judge(step(0.1, 1e-30));
        let text = serde_json::to_string(&guard).unwrap();
        assert_eq!(serde_json::from_str::<Guard>(&text).unwrap(), guard);
    }

    #[test]
    fn states_are_kept_in_calm_times_only() {
        let mut guard = settled();
        assert!(guard.snapshot_due());
        guard.kept();
        assert!(!guard.snapshot_due());
        repeat(&mut guard, SNAPSHOT_STEPS, step(4.5, 1.2));
        guard.judge(not_finite());
        assert!(!guard.snapshot_due());
        repeat(&mut guard, RECENT, step(4.5, 1.2));
        assert!(guard.snapshot_due());
    }

    #[test]
    fn going_back_forgets_what_was_usual_since() {
        let mut guard = settled();
        let usual = guard.kept();
        repeat(&mut guard, WINDOW as u64, step(12.0, 3.0));
        assert_eq!(guard.judge(step(15.0, 7.5)), Decision::Take);
        guard.go_back(&usual);
        assert_eq!(guard.judge(step(15.0, 7.5)), Decision::Refuse(Cause::Spike, Action::Skip));
    }
}
