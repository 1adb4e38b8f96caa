//! `ybox import`.

use std::path::PathBuf;

use serde_json::json;
use ybox_spec::Digest;

use super::{Context, ExitStatus};
use crate::image::{Arrival, Store, StoredImage};
use crate::record::{Aside, ParcelError, Pulled};
use crate::trust::{Evidence, Policy, belongs};
use crate::ui::Failure;

const AFTER_HELP: &str = "\
Nothing of the file is seen before all of it was checked: every blob, every layer unpacked, the
signatures where there is a trust policy, and a run against its record.

Of a run prints the folder, in runs/pulled.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A file of `ybox export`
    file: PathBuf,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let store = Store::open(&context.settings)?;
    let mut arrival = Arrival::read(&store, &args.file)?;
    arrival.artifacts.retain(|artifact| belongs(artifact, &arrival.manifests));
    judge(&arrival, &store, context)?;
    if arrival.run.is_empty() {
        show(&arrival.settle(&store)?, None, context)?;
        return Ok(ExitStatus::Yes);
    }
    let pulled = Pulled::below(&context.directory()?)?;
    let aside = pulled.take_in(&arrival.run, |digest| arrival.open(digest))?;
    refuse_other_image(&aside, &arrival)?;
    let run = aside.record.run_hash;
    let image = arrival.settle(&store)?;
    let folder = pulled.settle_aside(aside, &context.settings.home)?;
    show(&image, Some((folder, run)), context)?;
    Ok(ExitStatus::Yes)
}

fn judge(arrival: &Arrival, store: &Store, context: &Context) -> Result<(), Failure> {
    let Some(policy) = Policy::of(&context.settings)? else { return Ok(()) };
    let Arrival { config, manifests, artifacts, .. } = arrival;
    let evidence = Evidence::gather(store, config, manifests.clone(), artifacts)?;
    policy.judge(&arrival.reference.name, &evidence)?;
    Ok(())
}

fn refuse_other_image(aside: &Aside, arrival: &Arrival) -> Result<(), ParcelError> {
    match aside.record.inputs.image {
        image if image == arrival.config => Ok(()),
        other => Err(ParcelError::OtherImage(other)),
    }
}

fn show(
    image: &StoredImage,
    run: Option<(PathBuf, Digest)>,
    context: &Context,
) -> Result<(), Failure> {
    let directory = context.directory()?;
    let run = run.map(|(folder, hash)| {
        let folder = folder.strip_prefix(&directory).unwrap_or(&folder).to_owned();
        (folder, hash)
    });
    let (reference, manifest, config) = (&image.reference, image.manifest, image.config);
    let name = image.pinned();
    let mut document = json!({"reference": reference, "manifest": manifest, "config": config});
    match run {
        Some((folder, hash)) if context.settings.json => {
            document["folder"] = json!(folder);
            document["run"] = json!(hash);
            println!("{document}");
        }
        None if context.settings.json => println!("{document}"),
        Some((folder, _)) => {
            eprintln!("{name}");
            println!("{}", folder.display());
        }
        None => println!("{name}"),
    }
    Ok(())
}
