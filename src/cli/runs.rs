//! `ybox runs`: lists the run folders under `./runs`.

use std::io::{self, Write};
use std::path::PathBuf;

use indicatif::DecimalBytes;

use super::{Context, ExitStatus};
use crate::image::garbage;
use crate::record::{RunSummary, list_runs};
use crate::ui::{Failure, table};

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let directory = context.directory()?;
    let runs = list_runs(&directory);
    let text = match context.settings.json {
        true => serde_json::to_string(&runs).expect("a summary is plain data") + "\n",
        false => {
            let header =
                ["task", "name", "status", "model", "epochs", "mAP50-95", "run", "started"];
            let rows: Vec<_> = runs.iter().map(row).collect();
            table(&header, &rows, &["epochs", "mAP50-95"])
        }
    };
    if !context.settings.json && !runs.is_empty() {
        let folders: Vec<_> = runs.iter().map(|run| directory.join(&run.folder)).collect();
        let paths: Vec<_> = folders.iter().map(PathBuf::as_path).collect();
        let size = DecimalBytes(garbage::sizes(&paths).iter().sum());
        eprintln!("{} runs, {size} on disk", runs.len());
    }
    // Nobody reading is no error.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(ExitStatus::Yes)
}

fn row(run: &RunSummary) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    vec![
        run.task.clone(),
        run.name.clone(),
        run.state.name().into(),
        or_dash(run.model.clone()),
        or_dash(run.epochs.map(|epochs| epochs.to_string())),
        or_dash(run.map.map(|map| format!("{map:.4}"))),
        or_dash(run.run_hash.map(|hash| hash.hex()[..12].to_owned())),
        or_dash(run.started.clone()),
    ]
}
