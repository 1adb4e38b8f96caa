//! `ybox pull`.

use std::path::PathBuf;
use std::time::Instant;

use indicatif::DecimalBytes;
use serde_json::json;
use ybox_spec::Digest;

use super::{Context, ExitStatus};
use crate::image::Store;
use crate::record;
use crate::registry::{Place, Pulled, RegistryError, Remote, connect};
use crate::settings::RegistryFlags;
use crate::trust::Policy;
use crate::ui::Failure;

const AFTER_HELP: &str = "\
Nothing is seen under its name before its digest was checked. A tag can move: what it stood for is
printed with its digest, and REF@DIGEST pulls exactly that again.

With --run REF is a run, or an image that one run was attached to; prints the run folder.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// What: HOST/REPOSITORY[:TAG][@DIGEST]
    #[arg(value_name = "REF")]
    place: String,
    /// Pull a run, and the image that it ran in, into runs/pulled
    #[arg(long)]
    run: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let place: Place = args.place.parse()?;
    let store = Store::open(&context.settings)?;
    if args.run {
        let arrived = pull_run(&place, args.registry, context, &store)?;
        show_run(&arrived, context)?;
        return Ok(ExitStatus::Yes);
    }
    let policy = Policy::of(&context.settings)?;
    let progress = context.progress();
    let start = Instant::now();
    let (remote, pulled) = context.runtime.block_on(async {
        let repository = connect(&context.settings, &place, args.registry).await?;
        let remote = repository.find_image(&place).await?;
        let (local, policy) = (place.local(), policy.as_ref());
        let pulled = repository.pull_admitted(&remote, &store, &local, policy, &progress).await?;
        Ok::<_, RegistryError>((remote, pulled))
    })?;
    context.say_unchecked(policy.as_ref());
    show(&place, &remote, &pulled, start, context.settings.json);
    Ok(ExitStatus::Yes)
}

fn show(place: &Place, remote: &Remote, pulled: &Pulled, start: Instant, json: bool) {
    let image = &pulled.image;
    if json {
        println!(
            "{}",
            json!({
                "reference": image.reference, "named": remote.named, "manifest": image.manifest,
                "config": image.config, "size": pulled.size, "received": pulled.received,
            })
        );
        return;
    }
    let bytes = |size: u64| DecimalBytes(size).to_string();
    eprintln!(
        "received {} of {} in {:.1} s",
        bytes(pulled.received),
        bytes(pulled.size),
        start.elapsed().as_secs_f64()
    );
    let tag = place.tag.as_deref().or((place.digest.is_none()).then_some("latest"));
    let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
    println!("{}{tag}@{}", place.name(), image.manifest);
}

/// A run that is here now.
pub(super) struct Arrived {
    pub folder: PathBuf,
    /// Of the artifact that it was.
    digest: Digest,
    name: String,
    run_hash: Digest,
}

/// Brings a run into a folder of `runs/pulled` that is named after its hash, and its image into the
/// store. The folder appears when all of it is there and is what the record says.
pub(super) fn pull_run(
    place: &Place,
    registry: RegistryFlags,
    context: &Context,
    store: &Store,
) -> Result<Arrived, Failure> {
    let (progress, screen) = (context.progress(), context.screen());
    let policy = Policy::of(&context.settings)?;
    let directory = context.directory()?;
    let (digest, folder, record) = context.runtime.block_on(async {
        let repository = connect(&context.settings, place, registry).await?;
        let policy = policy.as_ref();
        let run = repository.find_admitted_run(place, policy).await?;
        let (digest, image) = (run.manifest.digest(), run.manifest.image);
        let pulled = record::Pulled::below(&directory)?;
        let aside = pulled.aside(&digest);
        let (record, received) = repository.pull_run(&run, &aside, &progress).await?;
        screen.say(&format!("received {} of the run", DecimalBytes(received)));
        repository.pull_image_of(&record, image, store, policy, &progress).await?;
        let folder = pulled.settle(&aside, &record.run_hash, &context.settings.home)?;
        Ok::<_, RegistryError>((digest, folder, record))
    })?;
    context.say_unchecked(policy.as_ref());
    Ok(Arrived { folder, digest, name: place.name(), run_hash: record.run_hash })
}

fn show_run(arrived: &Arrived, context: &Context) -> Result<(), Failure> {
    let directory = context.directory()?;
    let folder = arrived.folder.strip_prefix(&directory).unwrap_or(&arrived.folder);
    if context.settings.json {
        let pinned = format!("{}@{}", arrived.name, arrived.digest);
        println!("{}", json!({ "folder": folder, "pinned": pinned, "run": arrived.run_hash }));
    } else {
        eprintln!("{}@{}", arrived.name, arrived.digest);
        println!("{}", folder.display());
    }
    Ok(())
}
