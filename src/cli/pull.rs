//! `ybox pull`.

use std::time::Instant;

use indicatif::DecimalBytes;
use serde_json::json;

use super::{Context, ExitStatus};
use crate::image::Store;
use crate::registry::{Place, Pulled, Remote, connect};
use crate::settings::RegistryFlags;
use crate::trust::{Evidence, Policy, signatures};
use crate::ui::Failure;

const AFTER_HELP: &str = "\
Nothing is seen under its name before its digest was checked. A tag can move: what it stood for is
printed with its digest, and REF@DIGEST pulls exactly that again.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// What: HOST/REPOSITORY[:TAG][@DIGEST]
    #[arg(value_name = "REF")]
    place: String,
    #[command(flatten)]
    registry: RegistryFlags,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let place: Place = args.place.parse()?;
    let store = Store::open(&context.settings)?;
    let policy = Policy::of(&context.settings)?;
    let progress = context.progress();
    let start = Instant::now();
    let (remote, pulled) = context.runtime.block_on(async {
        let repository = connect(&context.settings, &place, args.registry).await?;
        let remote = repository.find_image(&place).await?;
        let attached = repository.pull_attached(&remote.manifest.digest).await?;
        if let Some(policy) = &policy {
            let manifests = vec![remote.manifest.digest];
            let signatures = signatures(&attached)?;
            let evidence = Evidence { manifests, signatures, built_here: false };
            policy.judge(&place.name(), &evidence)?;
        }
        let pulled = repository.pull_image(&remote, &store, &place.local(), &progress).await?;
        store.take_in(&pulled.image, &attached)?;
        Ok::<_, crate::registry::RegistryError>((remote, pulled))
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
