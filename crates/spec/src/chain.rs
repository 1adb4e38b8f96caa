//! The metric chain: one line per optimisation step, each ending in a digest over itself and the
//! line before, so that two runs can be compared step by step and a head stands for all of it.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Domain of the digest that the first line builds on.
pub const CHAIN_DOMAIN: &str = "ybox.steps.v1";

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
}

impl Step {
    pub fn new(loss: f32, grad_norm: f32) -> Self {
        Self { loss: loss.to_bits(), grad_norm: grad_norm.to_bits() }
    }
}

impl ChainHead {
    /// Appends a step; returns its line: step number from 1, loss bits, gradient-norm bits, and
    /// the hex digest of `<previous hex digest> <step> <loss> <norm>`.
    pub fn append(&mut self, step: Step) -> String {
        self.count += 1;
        let body = format!("{} {:08x} {:08x}", self.count, step.loss, step.grad_norm);
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
    let mut parts = line.split(' ').skip(1);
    let mut bits = || u32::from_str_radix(parts.next()?, 16).ok();
    Some(Step { loss: bits()?, grad_norm: bits()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_reads_back_and_a_changed_step_is_named() {
        let mut head = ChainHead::default();
        let text: String = [(1.5, 0.25), (1.25, f32::NAN)]
            .map(|(loss, norm)| head.append(Step::new(loss, norm)) + "\n")
            .concat();
        assert_eq!(read_chain(&text).unwrap().1, head);
        assert!(text.starts_with("1 3fc00000 3e800000 "));
        let changed = text.replacen("2 3fa00000", "2 3fa00001", 1);
        assert_eq!(read_chain(&changed), Err(ChainError { step: 2 }));
        assert_eq!(read_chain("junk\n"), Err(ChainError { step: 1 }));
    }
}
