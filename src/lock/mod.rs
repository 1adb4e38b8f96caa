//! Recipes (what an image is made of) and locks (exactly which bytes those are), and how the one
//! becomes the other. Downloading is `fetch`'s, assembling is `image`'s.

mod check;
mod deb;
mod diff;
mod error;
mod file;
#[cfg(fuzzing)]
pub mod fuzzing;
mod recipe;
mod resolve;
mod variants;
mod wheel;

pub use check::Stale;
pub use deb::{DebError, ReleaseError, SignatureError, Unmet};
pub use diff::{Change, Kind, changes};
pub use error::LockError;
pub use file::{LOCK_SCHEMA, Lock, LockedDeb, LockedWheel};
pub use recipe::{
    Base, Placement, Presets, RECIPE_SCHEMA, Recipe, StandIn, StandIns, Supports, TrainerBinary,
    Wheel,
};
pub use resolve::{Resolution, Upgrade, resolve};
pub use variants::Variants;
pub use wheel::WheelError;
