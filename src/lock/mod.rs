//! Recipes (what an image is made of) and locks (exactly which bytes those are), and how the one
//! becomes the other. Downloading is `fetch`'s, assembling is `image`'s.

mod file;
mod recipe;

pub use file::{Lock, LockedDeb, LockedWheel};
pub use recipe::{Base, Placement, Presets, Recipe, Supports, TrainerBinary, Wheel};
