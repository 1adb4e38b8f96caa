//! `ybox export`.

use std::path::PathBuf;

use indicatif::DecimalBytes;

use super::{Context, ExitStatus};
use crate::image::{Archive, Store};
use crate::ui::Failure;

const AFTER_HELP: &str = "\
One file with the image, its documents (bill of materials, provenance, lock) and its signatures.
`ybox import` checks all of it; `docker load`, `podman load` and `skopeo copy docker-archive:FILE` take
the image out of it.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Image of the local store
    image: String,
    /// The file to write
    file: PathBuf,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let store = Store::open(&context.settings)?;
    let image = store.find(&args.image)?;
    let archive = Archive::carried(&store, &image)?;
    archive.write_file(&args.file)?;
    eprintln!("{}@{}: {}", image.reference, image.manifest, DecimalBytes(archive.size()));
    println!("{}", args.file.display());
    Ok(ExitStatus::Yes)
}
