//! Keys, signatures and policies, against the real cosign. Where it is missing, its tests say so and
//! pass.

#![allow(clippy::unwrap_used)]

mod cosign;
mod keys;
