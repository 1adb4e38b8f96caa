//! `ybox images`.

use super::{Context, ExitStatus};
use crate::ui::Failure;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args, _context: &Context) -> Result<ExitStatus, Failure> {
    Err(Failure::new("`ybox images` is not there yet", 2))
}
