//! `ybox import`.

use std::path::{Path, PathBuf};

use serde_json::json;
use ybox_spec::Digest;

use super::{Context, ExitStatus};
use crate::image::{Arrival, Store, StoredImage};
use crate::record::{Aside, ParcelError, Pulled, SignedRun, file};
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
    let policy = Policy::of(&context.settings)?;
    judge(&arrival, &store, policy.as_ref())?;
    let run = match arrival.run.is_empty() {
        true => None,
        false => Some(take_in_run(&mut arrival, policy.as_ref(), context)?),
    };
    let image = arrival.settle(&store)?;
    let settle = |(pulled, aside): (Pulled, Aside)| {
        let hash = aside.record.run_hash;
        Ok::<_, ParcelError>((pulled.settle_aside(aside, &context.settings.home)?, hash))
    };
    let run = run.map(settle).transpose()?;
    context.say_unchecked(policy.as_ref());
    show(&image, run, context)?;
    Ok(ExitStatus::Yes)
}

/// Brings the run as far as a folder that is not seen yet.
fn take_in_run(
    arrival: &mut Arrival,
    policy: Option<&Policy>,
    context: &Context,
) -> Result<(Pulled, Aside), Failure> {
    let signed = take_out_signatures(arrival)?;
    judge_run(arrival, signed.as_ref(), policy)?;
    let pulled = Pulled::below(&context.directory()?)?;
    let aside = pulled.take_in(&arrival.run, signed.as_ref(), |digest| arrival.open(digest))?;
    refuse_other_image(&aside, arrival)?;
    Ok((pulled, aside))
}

fn judge(arrival: &Arrival, store: &Store, policy: Option<&Policy>) -> Result<(), Failure> {
    let Some(policy) = policy else { return Ok(()) };
    let Arrival { config, manifests, artifacts, .. } = arrival;
    let evidence = Evidence::gather(store, config, manifests.clone(), artifacts)?;
    policy.judge(&arrival.reference.name, &evidence)?;
    Ok(())
}

/// The signatures of the run, which have to be about the files that it brings.
fn take_out_signatures(arrival: &mut Arrival) -> Result<Option<SignedRun>, ParcelError> {
    let path = PathBuf::from(file::SIGNATURES);
    let Some(at) = arrival.run.iter().position(|file| Path::new(&file.path) == path) else {
        return Ok(None);
    };
    let listed = arrival.run.remove(at);
    let file = arrival.open(&listed.sha256);
    let file = file.map_err(|source| ParcelError::Read { path: path.clone(), source })?;
    let signed = SignedRun::parse(file, &path)?;
    match signed.covers(&arrival.run) {
        true => Ok(Some(signed)),
        false => Err(ParcelError::OtherFiles),
    }
}

/// A run that nobody signed is judged by where its image comes from.
fn judge_run(
    arrival: &Arrival,
    signed: Option<&SignedRun>,
    policy: Option<&Policy>,
) -> Result<(), Failure> {
    let Some(policy) = policy else { return Ok(()) };
    let unsigned = || (arrival.reference.name.clone(), Evidence::default());
    let (repository, evidence) =
        signed.map_or_else(unsigned, |run| (run.repository.clone(), run.evidence()));
    policy.judge_run(&repository, &evidence)?;
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
