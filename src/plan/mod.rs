//! Decisions from facts and tables: variant, devices, attention path, number format, numerics, each
//! with the rules that led to it, or refusals with their reasons. Pure: no I/O, no clock, no
//! environment. Learning the facts is `probe`'s work, acting on a plan `run`'s.
//!
//! A GPU that is there but can't be used is a refusal, never a silent fall back to the CPU: training
//! there takes days instead of hours, and whoever has a GPU wants to hear what keeps it from working.
//! `variant=cpu` or `device=cpu` says that the CPU is meant.

mod code;
mod compute;
mod handover;
pub mod memory;
mod offers;
mod peers;
mod pretend;
mod refusal;
mod report;
mod request;
mod stack;
mod tables;
mod target;

use std::fmt;

use serde::{Deserialize, Serialize};
use ybox_spec::amp::Amp;
use ybox_spec::config::{AttentionPath, Numerics};

pub use code::Code;
pub use handover::HandOver;
pub use offers::{Offer, offers, podman_hands_over};
pub use pretend::{PretendError, pretend};
pub use refusal::{GpuLabel, Refusal};
pub use report::{SCHEMA, human, json};
pub use request::{Device, Request};
pub use tables::Tables;

use crate::probe::Facts;

/// Which image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    Cpu,
    Cuda13,
    Cuda126,
}

impl Variant {
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Cuda13, Self::Cuda126];

    /// As in `docker/<name>.yaml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda13 => "cuda13",
            Self::Cuda126 => "cuda126",
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The number format of most arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    Fp32,
    Fp16,
    Bf16,
}

impl Dtype {
    pub const ALL: [Self; 3] = [Self::Fp32, Self::Fp16, Self::Bf16];

    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
        }
    }

    /// The mixed precision that computes in it.
    pub fn amp(self) -> Amp {
        match self {
            Self::Fp32 => Amp::Off,
            Self::Fp16 => Amp::Fp16,
            Self::Bf16 => Amp::Bf16,
        }
    }

    /// What a run with `amp=auto` computes in where this is the device's own: fp16 has to be asked
    /// for, since its losses need scaling.
    pub fn of_amp_auto(self) -> Self {
        match self {
            Self::Bf16 => Self::Bf16,
            Self::Fp16 | Self::Fp32 => Self::Fp32,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What came of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Chosen,
    Passed,
    Rejected,
    /// It doesn't stop the plan, but may stop the run.
    Warned,
    /// Not known to be right: no table has it, or only an unchecked row does.
    Unverified,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Passed => "passed",
            Self::Rejected => "rejected",
            Self::Warned => "warned",
            Self::Unverified => "unverified",
        }
    }
}

/// A rule that was considered, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// What it is about, e.g. `variant cuda13`.
    pub subject: String,
    pub outcome: Outcome,
    pub code: Code,
    pub reason: String,
}

/// How to run here.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    pub variant: Variant,
    /// GPUs to use, as `nvidia-smi` counts; empty for the CPU.
    pub devices: Vec<u32>,
    /// Never `Auto`.
    pub attention: AttentionPath,
    /// Which kernels that path means here.
    pub kernel: String,
    pub dtype: Dtype,
    pub numerics: Numerics,
    /// Whether NCCL is to be kept from direct access between the GPUs (`NCCL_P2P_DISABLE=1`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub p2p_disable: bool,
    /// Whether everything that it rests on is known to be right.
    pub verified: bool,
    /// In the order in which they were considered.
    pub rules: Vec<Rule>,
}

/// Why there is no plan: at least one refusal, and the rules up to there.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", refusals.first().map(Refusal::sentence).unwrap_or_default())]
pub struct Refusals {
    pub refusals: Vec<Refusal>,
    pub rules: Vec<Rule>,
}

/// What a stage of the decision gives: its result, or all that stands in its way.
type Decided<T> = Result<T, Vec<Refusal>>;

/// Decides how to run on the host that `facts` describe.
pub fn plan(facts: &Facts, request: &Request, tables: &Tables) -> Result<Plan, Refusals> {
    let mut trail = Trail::default();
    match decide(facts, request, tables, &mut trail) {
        Ok(plan) => Ok(Plan { verified: trail.verified(), rules: trail.rules, ..plan }),
        Err(refusals) => Err(Refusals { refusals, rules: trail.rules }),
    }
}

fn decide(facts: &Facts, request: &Request, tables: &Tables, trail: &mut Trail) -> Decided<Plan> {
    target::processor(facts, tables, trail)?;
    let target = target::choose(facts, request, tables, trail)?;
    let variant = stack::choose(&target, facts, request, tables, trail)?;
    stack::engine(&target, facts, trail);
    let compute = compute::choose(&target, facts, request, tables, trail)?;
    Ok(Plan {
        variant,
        devices: target.indexes(),
        attention: compute.attention,
        kernel: compute.kernel,
        dtype: compute.dtype,
        numerics: compute.numerics,
        p2p_disable: peers::disable(&target, facts, trail),
        verified: false,
        rules: Vec::new(),
    })
}

/// The rules so far.
#[derive(Debug, Default)]
struct Trail {
    rules: Vec<Rule>,
}

impl Trail {
    fn add(
        &mut self,
        subject: impl fmt::Display,
        outcome: Outcome,
        code: Code,
        reason: impl Into<String>,
    ) {
        let (subject, reason) = (subject.to_string(), reason.into());
        self.rules.push(Rule { subject, outcome, code, reason });
    }

    fn chosen(&mut self, subject: impl fmt::Display, code: Code, reason: impl Into<String>) {
        self.add(subject, Outcome::Chosen, code, reason);
    }

    fn passed(&mut self, subject: impl fmt::Display, code: Code, reason: impl Into<String>) {
        self.add(subject, Outcome::Passed, code, reason);
    }

    fn unverified(&mut self, subject: impl fmt::Display, code: Code, reason: impl Into<String>) {
        self.add(subject, Outcome::Unverified, code, reason);
    }

    fn rejected(&mut self, subject: impl fmt::Display, refusal: &Refusal) {
        self.add(subject, Outcome::Rejected, refusal.code(), refusal.sentence());
    }

    /// Records refusals that end the decision.
    fn refused<T>(&mut self, subject: impl fmt::Display, refusals: Vec<Refusal>) -> Decided<T> {
        for refusal in &refusals {
            self.rejected(&subject, refusal);
        }
        Err(refusals)
    }

    fn verified(&self) -> bool {
        self.rules.iter().all(|rule| rule.outcome != Outcome::Unverified)
    }
}
