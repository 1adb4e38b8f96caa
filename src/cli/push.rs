//! `ybox push`.

use std::path::PathBuf;
use std::time::Instant;

use indicatif::DecimalBytes;
use serde_json::json;

use super::key::PassphraseArgs;
use super::report::parcel;
use super::{Context, ExitStatus};
use crate::image::{Store, StoredImage};
use crate::record::{RunManifest, find_run};
use crate::registry::{Place, RegistryError, Sent, connect};
use crate::settings::RegistryFlags;
use crate::trust::PrivateKey;
use crate::ui::Failure;

const AFTER_HELP: &str = "\
Credentials are those that `docker login` and `podman login` keep. What the registry has is not sent
again. Prints the reference with the digest, by which exactly this can be pulled again.

A run is attached to its image, which goes to the same repository; without a tag it gets one from its
hash. `ybox pull --run REF` brings it back, `ybox replay REF` repeats it.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Where to: HOST/REPOSITORY[:TAG]
    #[arg(value_name = "REF")]
    place: String,
    /// Which image of the store [default: the one of that name]; it gets the name too
    #[arg(long, value_name = "IMAGE", conflicts_with = "run")]
    image: Option<String>,
    /// Push a run, and the image that it ran in, instead: a run folder, or six or more digits of a
    /// run hash
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Sign the image, and with --run the run too, with the private key in this file
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    registry: RegistryFlags,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let place: Place = args.place.parse()?;
    let store = Store::open(&context.settings)?;
    let key = args.sign.as_deref().map(|path| args.passphrase.open(path)).transpose()?;
    if let Some(run) = &args.run {
        return push_run((run, &place), key.as_ref(), args.registry, context, &store);
    }
    let image = find(&store, &place, args.image.as_deref())?;
    // A digest alone gives no name.
    let tag = place.local().tag;
    if let Some(other) = place.digest.filter(|digest| *digest != image.manifest) {
        return Err(Failure::new(format!("{} is not {other} but {}", place, image.manifest), 1));
    }
    let progress = context.progress().of_uploads();
    let start = Instant::now();
    let sent = context.runtime.block_on(async {
        let repository = connect(&context.settings, &place, args.registry).await?;
        let sent = repository.push_image(&store, &image, &progress).await?;
        repository.push_attached(&store, &image, key.as_ref()).await?;
        // Under its tag only when what goes with it is there.
        if let Some(tag) = &tag {
            repository.tag_image(&store, &image, tag).await?;
        }
        Ok::<_, RegistryError>(sent)
    })?;
    if args.image.is_some() {
        store.name(&image, &place.local())?;
    }
    show(&place, &image, &sent, start, context.settings.json);
    Ok(ExitStatus::Yes)
}

/// Sends the run's image, then the run, which refers to it.
fn push_run(
    (run, place): (&str, &Place),
    key: Option<&PrivateKey>,
    registry: RegistryFlags,
    context: &Context,
    store: &Store,
) -> Result<ExitStatus, Failure> {
    let directory = context.directory()?;
    let folder = find_run(&directory, run)?;
    let parcel = parcel(&folder, run)?;
    let hash = parcel.record.run_hash;
    let tag = place.tag.clone().unwrap_or_else(|| format!("run-{}", &hash.hex()[..12]));
    let progress = context.progress().of_uploads();
    let start = Instant::now();
    let (digest, sent) = context.runtime.block_on(async {
        let repository = connect(&context.settings, place, registry).await?;
        let image = repository.push_image_of(&parcel.record, store, key, &progress).await?;
        let run = RunManifest::of(&parcel, image)?;
        let sent = repository.push_run(&folder, &run, &tag, key, &progress).await?;
        Ok::<_, RegistryError>((run.digest(), sent))
    })?;
    let name = format!("{}:{tag}", place.name());
    if context.settings.json {
        let pinned = format!("{}@{digest}", place.name());
        println!("{}", json!({ "reference": name, "pinned": pinned, "run": hash, "bytes": sent }));
    } else {
        tell(&sent, start);
        println!("{name}@{digest}");
    }
    Ok(ExitStatus::Yes)
}

fn find(store: &Store, place: &Place, image: Option<&str>) -> Result<StoredImage, Failure> {
    if let Some(image) = image {
        return Ok(store.find(image)?);
    }
    let name = place.local().short();
    store.find(&name).map_err(|error| {
        let hint = format!("say which image is to be pushed there: ybox push {place} --image NAME");
        Failure::from(error).hint(hint)
    })
}

fn show(place: &Place, image: &StoredImage, sent: &Sent, start: Instant, json: bool) {
    let tag = place.local().tag;
    let named = tag.as_ref().map_or(place.name(), |tag| format!("{}:{tag}", place.name()));
    let pinned = format!("{}@{}", place.name(), image.manifest);
    // A digest alone gives no name.
    let reference = if tag.is_some() { &named } else { &pinned };
    if json {
        println!(
            "{}",
            json!({
                "reference": reference, "pinned": pinned, "manifest": image.manifest,
                "config": image.config, "bytes": sent,
            })
        );
        return;
    }
    tell(sent, start);
    println!("{named}@{}", image.manifest);
}

fn tell(sent: &Sent, start: Instant) {
    let bytes = |size: u64| DecimalBytes(size).to_string();
    eprintln!(
        "sent {}, mounted {}, {} was there, in {:.1} s",
        bytes(sent.sent),
        bytes(sent.mounted),
        bytes(sent.there),
        start.elapsed().as_secs_f64()
    );
}
