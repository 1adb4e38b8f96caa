//! `ybox import`.

use std::path::PathBuf;

use serde_json::json;

use super::{Context, ExitStatus};
use crate::image::{Arrival, Store};
use crate::trust::{Evidence, Policy, signatures};
use crate::ui::Failure;

const AFTER_HELP: &str = "\
Nothing of the file is seen before all of it was checked: every blob, every layer unpacked, and the
signatures where there is a trust policy.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A file of `ybox export`
    file: PathBuf,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let store = Store::open(&context.settings)?;
    let policy = Policy::of(&context.settings)?;
    let arrival = Arrival::read(&store, &args.file)?;
    if let Some(policy) = policy {
        let evidence = Evidence {
            manifests: arrival.manifests.clone(),
            signatures: signatures(&arrival.artifacts)?,
            built_here: store.was_built_here(&arrival.image())?,
        };
        policy.judge(&arrival.reference.name, &evidence)?;
    }
    let image = arrival.settle(&store)?;
    if context.settings.json {
        let (reference, manifest, config) = (&image.reference, image.manifest, image.config);
        println!("{}", json!({"reference": reference, "manifest": manifest, "config": config}));
    } else {
        println!("{}@{}", image.reference, image.manifest);
    }
    Ok(ExitStatus::Yes)
}
