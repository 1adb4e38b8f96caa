//! Keys, signatures and policies, against the real cosign. Where it is missing, its tests say so and
//! pass.

#![allow(clippy::unwrap_used)]

mod carry;
mod carry_large;
mod carry_run;
mod cosign;
#[allow(dead_code, reason = "each test binary uses its own part of it")]
#[path = "../image/fixture.rs"]
mod fixture;
mod keys;
#[path = "../run_standin/mod.rs"]
mod run_standin;
mod run_statement;
#[allow(dead_code, reason = "each test binary uses its own part of it")]
#[path = "../registry/server.rs"]
mod server;
mod signed_run;
mod signing;
