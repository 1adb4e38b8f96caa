//! The inner half of `lock::fuzzing`'s doors. Compiled for the fuzz targets alone.

use std::time::SystemTime;

pub use super::depends::unmet;
pub use super::packages::read as packages;
use super::release::{Release, ReleaseError};
pub use super::version::compare;

pub fn release(text: &str, now: SystemTime) -> Result<(), ReleaseError> {
    let release = Release::parse(text);
    release.check("trixie", now)?;
    release.packages("main", "amd64").map(drop)
}
