//! `ybox plan`.

use super::{Context, ExitStatus};
use crate::ui::Failure;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args, _context: &Context) -> Result<ExitStatus, Failure> {
    Err(Failure::new("`ybox plan` is not there yet", 2))
}
