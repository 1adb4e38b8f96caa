//! `ybox plan`: which variant, attention path and numerics, and why. Exit code 1 on a refusal.

use super::probe::{Pretend, learn};
use super::{Context, ExitStatus};
use crate::plan::memory::{self, Training};
use crate::plan::{self, Request, Tables};
use crate::ui::Failure;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pretend: Pretend,
    /// Predict the memory of a training of this model on the GPU
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Pictures per batch of that training
    #[arg(long, value_name = "N", default_value_t = 16, requires = "model",
        value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: u64,
    /// Side of its pictures
    #[arg(long, value_name = "PIXELS", default_value_t = 640, requires = "model")]
    imgsz: u32,
    /// Its classes
    #[arg(long, value_name = "N", default_value_t = 80, requires = "model",
        value_parser = clap::value_parser!(u64).range(1..=10_000))]
    classes: u64,
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
    let prediction = match (&outcome, args.model) {
        (Ok(plan), Some(model)) => {
            let Args { batch, imgsz, classes, .. } = args;
            let training = Training { model, batch, imgsz, classes, dtype: request.dtype };
            let predicted = memory::predict(plan, &facts, &training, &tables);
            Some(predicted.map_err(|error| Failure::new(error.to_string(), 2))?)
        }
        _ => None,
    };
    if context.settings.json {
        let mut said = plan::json(&facts, &outcome, &tables);
        if let Some(prediction) = &prediction {
            said["memory"] = serde_json::json!(prediction);
        }
        println!("{said:#}");
    } else {
        print!("{}", plan::human(&facts, &outcome));
        prediction.iter().for_each(|prediction| print!("\n{}", memory::human(prediction)));
    }
    let fits = prediction.is_none_or(|prediction| prediction.fitting.is_some());
    Ok(if outcome.is_ok() && fits { ExitStatus::Yes } else { ExitStatus::No })
}
