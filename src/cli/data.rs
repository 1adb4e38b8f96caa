//! `ybox data`: making, checking and converting data sets.

use std::path::PathBuf;

use serde::Serialize;
use ybox_spec::dataset::{DataSet, Format};

use super::{Context, ExitStatus};
use crate::check;
use crate::convert;
use crate::synth;
use crate::ui::Failure;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Draw a data set of coloured shapes, the same for the same seed
    Synth(Synth),
    /// Find everything that is wrong with a data set; exits with 1 where something is
    Check(Check),
    /// Write a data set in another form, beside the old one
    Convert(Convert),
}

#[derive(Debug, clap::Args)]
struct Check {
    /// The data set's YAML file
    data: PathBuf,
    /// Draw samples of each split, with boxes and class names, into this folder
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
}

const CONVERT_HELP: &str = "\
Reads labels in YOLO's, COCO's or Pascal VOC's form and writes them in another, so that a training
sees the same boxes, bit for bit (in YOLO, the bounds of outlines). Outlines are kept where the new form has them; what it cannot hold
is said. Prints the YAML file of the new set.

Pictures are not touched: they are hard links to the old ones, or copies where the file system has no
links between the two places.

Exit status: 0 converted; 1 refused, with nothing written; 2 bad usage or something unexpected.";

#[derive(Debug, clap::Args)]
#[command(after_help = CONVERT_HELP)]
struct Convert {
    /// The data set's YAML file
    data: PathBuf,
    /// A new folder
    folder: PathBuf,
    /// The form to write
    #[arg(long, value_name = "FORM", value_parser = form)]
    to: Format,
    /// Copy the pictures instead of linking them
    #[arg(long)]
    copy: bool,
    /// Leave out outlines
    #[arg(long)]
    boxes_only: bool,
    /// Leave out what is wrong with labels, and pictures whose size cannot be read, instead of
    /// refusing
    #[arg(long)]
    drop_bad: bool,
}

fn form(text: &str) -> Result<Format, String> {
    let all = [Format::Yolo, Format::Coco, Format::Voc];
    all.into_iter().find(|form| form.name() == text).ok_or_else(|| "yolo, coco or voc".into())
}

#[derive(Debug, clap::Args)]
struct Synth {
    /// A new folder
    folder: PathBuf,
    /// Pictures to train on
    #[arg(long, default_value_t = 256)]
    train: u32,
    /// Pictures to validate on
    #[arg(long, default_value_t = 64)]
    val: u32,
    /// Side of the pictures in pixels
    #[arg(long, default_value_t = 160, value_parser = clap::value_parser!(u32).range(64..=4096))]
    size: u32,
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    match args.action {
        Action::Synth(args) => synth(&args, context),
        Action::Check(args) => check(&args, context),
        Action::Convert(args) => convert(&args, context),
    }
}

fn synth(args: &Synth, context: &Context) -> Result<ExitStatus, Failure> {
    let plan = synth::Plan { train: args.train, val: args.val, size: args.size, seed: args.seed };
    let description = synth::write(&plan, &args.folder)?;
    if context.settings.json {
        println!("{}", serde_json::json!({ "data": description }));
    } else {
        println!("{}", description.display());
    }
    Ok(ExitStatus::Yes)
}

fn check(args: &Check, context: &Context) -> Result<ExitStatus, Failure> {
    let set = DataSet::open(&args.data)?;
    let screen = context.screen();
    let report = check::check(&args.data, &set, args.pictures.as_deref(), &screen)?;
    if context.settings.json {
        print_json(&report)?;
    } else {
        report.problems.iter().for_each(|problem| println!("{}", problem.shown()));
        report.notes.iter().for_each(|note| println!("note: {}", note.shown()));
        if !(report.problems.is_empty() && report.notes.is_empty()) {
            println!();
        }
        print!("{}", report.tables());
        if !report.pictures.is_empty() {
            println!();
        }
        report.pictures.iter().for_each(|path| println!("samples: {}", path.display()));
    }
    Ok(if report.problems.is_empty() { ExitStatus::Yes } else { ExitStatus::No })
}

fn convert(args: &Convert, context: &Context) -> Result<ExitStatus, Failure> {
    let set = DataSet::open(&args.data)?;
    let screen = context.screen();
    let request = convert::Request {
        data: &args.data,
        target: &args.folder,
        to: args.to,
        drop_bad: args.drop_bad,
        boxes_only: args.boxes_only,
        copy: args.copy,
    };
    let report = convert::convert(&request, &set, &screen)?;
    if context.settings.json {
        print_json(&report)?;
        return Ok(ExitStatus::Yes);
    }
    report.dropped.iter().for_each(|finding| screen.say(&format!("left out: {}", finding.shown())));
    report.notes.iter().for_each(|note| screen.say(&format!("note: {note}")));
    report.splits.iter().for_each(|split| screen.say(&split.shown()));
    screen.say(&format!("pictures linked: {}, copied: {}", report.linked, report.copied));
    println!("{}", report.data.display());
    Ok(ExitStatus::Yes)
}

fn print_json(report: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(report)
        .map_err(|e| Failure::unexpected("cannot write the report as JSON", &e))?;
    println!("{text}");
    Ok(())
}
