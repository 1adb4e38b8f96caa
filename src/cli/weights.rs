//! `ybox weights`: weights files of others, and for others.

use std::path::{Path, PathBuf};

use super::run::admit;
use super::{Context, ExitStatus};
use crate::engine::{self, Host};
use crate::image::Store;
use crate::run::{self, Conversion};
use crate::ui::Failure;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Convert PyTorch's .pt to safetensors, or back; nothing in the .pt is run
    Convert(Convert),
}

#[derive(Debug, clap::Args)]
struct Convert {
    /// FILE.pt or FILE.safetensors
    input: PathBuf,
    /// FILE.safetensors or FILE.pt; replaced if it is there
    output: PathBuf,
    /// The model, where names and shapes of the tensors do not tell
    #[arg(long)]
    model: Option<String>,
    /// Class names, where the checkpoint has none
    #[arg(long, value_name = "NAME,...")]
    names: Option<String>,
    /// What runs the container: auto, docker, podman or embedded
    #[arg(long, default_value = "auto")]
    engine: engine::Choice,
    /// Image whose trainer converts [default: ybox/cpu:latest]
    #[arg(long, value_name = "REFERENCE")]
    image: Option<String>,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let Action::Convert(args) = args.action;
    let store = Store::open(&context.settings)?;
    let image = run::find_image(&store, args.image.as_deref())?;
    admit(&store, &image, context)?;
    let selection =
        engine::select(args.engine, &Host::read(|name| std::env::var_os(name)), &store)?;
    let screen = context.screen();
    let options = [("--model", args.model), ("--names", args.names)];
    let conversion = Conversion {
        input: absolute(&args.input)?,
        output: absolute(&args.output)?,
        options: options.into_iter().filter_map(|(n, v)| Some(format!("{n}={}", v?))).collect(),
    };
    run::convert(&conversion, image, &*selection.engine, &mut |line| screen.say(line))?;
    match context.settings.json {
        true => println!("{}", serde_json::json!({ "weights": args.output })),
        false => println!("{}", args.output.display()),
    }
    Ok(ExitStatus::Yes)
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|e| Failure::unexpected("cannot tell the working directory", &e))
}
