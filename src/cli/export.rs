//! `ybox export`.

use std::path::{Path, PathBuf};

use indicatif::DecimalBytes;
use ybox_spec::Digest;
use ybox_spec::record::Artifact;

use super::report::parcel;
use super::{Context, ExitStatus};
use crate::image::{Archive, Store, StoredImage};
use crate::record::{ParcelError, SignedRun, find_run_or_none};
use crate::ui::Failure;

const AFTER_HELP: &str = "\
One file with the image, its documents (bill of materials, provenance, lock) and its signatures; of a
run also all that its record lists, and its own signatures. `ybox import` checks all of it; `docker load`, `podman load` and
`skopeo copy docker-archive:FILE` take the image out of it.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Image of the local store; or a run, with the image that it ran in: a run folder, or six or
    /// more digits of a run hash
    #[arg(value_name = "IMAGE|RUN")]
    what: String,
    /// The file to write
    file: PathBuf,
}

/// The run that goes along.
struct Run {
    folder: PathBuf,
    hash: Digest,
    files: Vec<Artifact>,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let store = Store::open(&context.settings)?;
    let (image, run) = find(&store, &args.what, context)?;
    let files = run.as_ref().map(|run| (run.folder.as_path(), run.files.as_slice()));
    let archive = Archive::carried(&store, &image, files)?;
    archive.write_file(&args.file)?;
    if let Some(run) = &run {
        eprintln!("{}: run {}", args.what, run.hash);
    }
    eprintln!("{}: {}", image.pinned(), DecimalBytes(archive.size()));
    println!("{}", args.file.display());
    Ok(ExitStatus::Yes)
}

/// A run comes first, as everywhere that either may be named.
fn find(
    store: &Store,
    what: &str,
    context: &Context,
) -> Result<(StoredImage, Option<Run>), Failure> {
    let Some(folder) = find_run_or_none(&context.directory()?, what)? else {
        return Ok((store.find(what)?, None));
    };
    let parcel = parcel(&folder, what)?;
    let image = store.find(&parcel.record.inputs.image.to_string())?;
    let (hash, mut files) = (parcel.record.run_hash, parcel.files);
    files.extend(signatures(&folder, &files)?);
    Ok((image, Some(Run { folder, hash, files })))
}

/// The signatures of a run, as long as its files are those that were signed.
fn signatures(folder: &Path, files: &[Artifact]) -> Result<Option<Artifact>, ParcelError> {
    match SignedRun::read(folder)? {
        Some(signed) if signed.covers(files) => SignedRun::kept(folder).map(Some),
        Some(_) => {
            eprintln!("its signatures stay here: they are about other files than it has now");
            Ok(None)
        }
        None => Ok(None),
    }
}
