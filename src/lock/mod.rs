//! Recipes (what an image is made of) and locks (exactly which bytes those are), and how the one
//! becomes the other. Downloading is `fetch`'s, assembling is `image`'s.

mod error;
mod file;
mod recipe;

pub use error::LockError;
pub use file::{LOCK_SCHEMA, Lock, LockedDeb, LockedWheel};
pub use recipe::{Base, Placement, Presets, RECIPE_SCHEMA, Recipe, Supports, TrainerBinary, Wheel};
