//! Registries end to end: Debian's docker-registry, other people's clients (skopeo, umoci, podman,
//! Docker), and a proxy that gets in the way.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod access;
mod clients;
mod faults;
#[path = "../image/fixture.rs"]
#[allow(dead_code)]
mod fixture;
mod floods;
mod gc;
mod images;
mod kills;
mod proxy;
mod referrers;
#[path = "../run_standin/mod.rs"]
mod run_standin;
mod runs;
mod server;
mod uploads;
