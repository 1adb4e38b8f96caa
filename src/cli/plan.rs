//! `ybox plan`: which variant, attention path and numerics, and why. Exit code 1 on a refusal.

use super::probe::{Pretend, learn};
use super::{Context, ExitStatus};
use crate::plan::{self, Request, Tables};
use crate::ui::Failure;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pretend: Pretend,
    /// What to ask for: variant=, device=, attention=, dtype=, numerics=
    #[arg(value_name = "KEY=VALUE")]
    wishes: Vec<String>,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let request =
        Request::parse(&args.wishes).map_err(|error| Failure::new(error.to_string(), 2))?;
    let tables = Tables::built_in();
    let facts = learn(&args.pretend, context)?;
    let outcome = plan::plan(&facts, &request, &tables);
    if context.settings.json {
        println!("{:#}", plan::json(&facts, &outcome, &tables));
    } else {
        print!("{}", plan::human(&facts, &outcome));
    }
    Ok(if outcome.is_ok() { ExitStatus::Yes } else { ExitStatus::No })
}
