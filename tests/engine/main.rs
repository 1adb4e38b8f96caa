//! The engines against real daemons and a real bubblewrap. Where one is missing, its tests say so
//! and pass, unless `YBOX_TEST_REQUIRE_DOCKER`, `..._PODMAN` or `..._BUBBLEWRAP` is 1.

// Clippy knows the functions marked as tests, not those that they call.
#![allow(clippy::unwrap_used)]

mod bench;
mod carried;
mod containers;
mod gone;
mod gpus;
mod load;
#[path = "../standin_driver/mod.rs"]
mod standin_driver;
