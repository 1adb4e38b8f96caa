//! The metric chain: one line per optimisation step, each ending in a digest over itself and the
//! line before, so that two runs can be compared step by step and a head stands for all of it. What
//! the digest of all parameters is taken over is the trainer's.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Domain of the digest that the first line builds on.
pub const CHAIN_DOMAIN: &str = "ybox.steps.v1";

/// Domain of the digest of all parameters.
pub const PARAMETERS_DOMAIN: &str = "ybox.parameters.v1";

/// Every so many steps, from the first on, a step carries a digest of all parameters.
const PARAMETER_STEPS: u64 = 50;

/// Whether step `step`, from 1, carries a digest of all parameters.
pub fn carries_parameters(step: u64) -> bool {
    step % PARAMETER_STEPS == 1
}

/// Length and last digest of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    pub count: u64,
    pub head: Digest,
}

impl Default for ChainHead {
    fn default() -> Self {
        Self { count: 0, head: Digest::in_domain(CHAIN_DOMAIN, b"") }
    }
}

/// What a step measured, as the bits of the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub loss: u32,
    pub grad_norm: u32,
    /// Of all parameters and running statistics after the step, where it is [taken down].
    ///
    /// [taken down]: carries_parameters
    pub parameters: Option<Digest>,
}

impl Step {
    pub fn new(loss: f32, grad_norm: f32) -> Self {
        Self { loss: loss.to_bits(), grad_norm: grad_norm.to_bits(), parameters: None }
    }

    pub fn with_parameters(self, digest: Digest) -> Self {
        Self { parameters: Some(digest), ..self }
    }
}

impl ChainHead {
    /// Appends a step; returns its line: step number from 1, loss bits, gradient-norm bits, the hex
    /// digest of all parameters where there is one, and the hex digest of the previous line's
    /// digest, a space, and what stands before it.
    pub fn append(&mut self, step: Step) -> String {
        self.count += 1;
        let mut body = format!("{} {:08x} {:08x}", self.count, step.loss, step.grad_norm);
        if let Some(parameters) = step.parameters {
            body = format!("{body} {}", parameters.hex());
        }
        self.head = Digest::of(format!("{} {body}", self.head.hex()).as_bytes());
        format!("{body} {}", self.head.hex())
    }
}

/// A line that is not what its predecessor and its own numbers give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {step} was changed")]
pub struct ChainError {
    pub step: u64,
}

/// Checks every line of a chain; returns its steps and its head.
pub fn read_chain(text: &str) -> Result<(Vec<Step>, ChainHead), ChainError> {
    let mut head = ChainHead::default();
    let mut steps = Vec::new();
    for line in text.lines() {
        let changed = ChainError { step: head.count + 1 };
        let step = parse(line).ok_or_else(|| changed.clone())?;
        if head.append(step) != line {
            return Err(changed);
        }
        steps.push(step);
    }
    Ok((steps, head))
}

fn parse(line: &str) -> Option<Step> {
    let bits = |text: &str| u32::from_str_radix(text, 16).ok();
    let parts: Vec<_> = line.split(' ').collect();
    let (loss, norm, parameters) = match parts[..] {
        [_, loss, norm, _] => (loss, norm, None),
        [_, loss, norm, parameters, _] => (loss, norm, Some(Digest::from_hex(parameters).ok()?)),
        _ => return None,
    };
    Some(Step { loss: bits(loss)?, grad_norm: bits(norm)?, parameters })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_reads_back_and_a_changed_step_is_named() {
        let mut head = ChainHead::default();
        let steps = [
            Step::new(1.5, 0.25),
            Step::new(1.25, f32::NAN),
            Step::new(1.0, 0.5).with_parameters(Digest::of(b"weights")),
        ];
        let text = steps.map(|step| head.append(step) + "\n").concat();
        assert_eq!(read_chain(&text).unwrap(), (steps.to_vec(), head));
        assert!(text.starts_with("1 3fc00000 3e800000 "));
        let changed = text.replacen("2 3fa00000", "2 3fa00001", 1);
        assert_eq!(read_chain(&changed), Err(ChainError { step: 2 }));
        let digest = Digest::of(b"weights").hex();
        let changed = text.replacen(&digest, &Digest::of(b"others").hex(), 1);
        assert_eq!(read_chain(&changed), Err(ChainError { step: 3 }));
        assert_eq!(read_chain("junk\n"), Err(ChainError { step: 1 }));
    }
}
