//! `ybox pull`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::DecimalBytes;
use serde_json::json;
use ybox_spec::Digest;

use super::{Context, ExitStatus};
use crate::image::Store;
use crate::record::{PULLED, remember_place};
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
    let parent = context.directory()?.join(PULLED);
    let _alone = alone_in(&parent)?;
    let (digest, folder, record) = context.runtime.block_on(async {
        let repository = connect(&context.settings, place, registry).await?;
        let run = repository.find_run(place).await?;
        let aside = parent.join(format!(".{}", run.digest.hex()));
        let (record, received) = repository.pull_run(&run, &aside, &progress).await?;
        screen.say(&format!("received {} of the run", DecimalBytes(received)));
        let policy = policy.as_ref();
        repository.pull_image_of(&record, run.image, store, policy, &progress).await?;
        let folder = parent.join(&record.run_hash.hex()[..12]);
        settle(&aside, &folder)?;
        Ok::<_, RegistryError>((run.digest, folder, record))
    })?;
    remember_place(&context.settings.home, &parent)
        .map_err(RegistryError::io(format!("write to {}", context.settings.home.display())))?;
    Ok(Arrived { folder, digest, name: place.name(), run_hash: record.run_hash })
}

/// Waits until nobody else pulls runs into that folder; until the file is dropped.
fn alone_in(parent: &Path) -> Result<File, RegistryError> {
    let make = || {
        fs::create_dir_all(parent)?;
        let lock = File::create(parent.join(".lock"))?;
        lock.lock().map(|()| lock)
    };
    make().map_err(RegistryError::io(format!("make {}", parent.display())))
}

/// Gives a run that has arrived its place. One that was there before gives way: it may be damaged.
fn settle(aside: &Path, folder: &Path) -> Result<(), RegistryError> {
    let failed = || RegistryError::io(format!("make {}", folder.display()));
    let old = aside.with_extension("old");
    if folder.exists() {
        fs::rename(folder, &old).map_err(failed())?;
    }
    fs::rename(aside, folder).map_err(failed())?;
    let parent = folder.parent().expect("it lies in runs/pulled");
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed())?;
    let _ = fs::remove_dir_all(old);
    Ok(())
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
