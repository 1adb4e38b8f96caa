//! `ybox sbom`.

use super::{Context, ExitStatus};
use crate::image::{SPDX, Store, short_reference};
use crate::ui::Failure;

/// Prints the SPDX document (JSON) on standard output.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image of the local store
    #[arg(default_value = "ybox/cpu:latest")]
    image: String,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    print_attached(&args.image, SPDX, "SBOM", context)
}

/// Prints what is attached to an image under the type `kind`.
pub(super) fn print_attached(
    wanted: &str,
    kind: &str,
    called: &str,
    context: &Context,
) -> Result<ExitStatus, Failure> {
    let store = Store::open(&context.settings)?;
    let image = store.find(wanted)?;
    match store.attached_document(&image, kind)? {
        Some(document) => {
            println!("{}", String::from_utf8_lossy(&document));
            Ok(ExitStatus::Yes)
        }
        None => {
            let name = short_reference(&image.reference);
            Err(Failure::new(format!("the image {name} has no {called}"), 1).hint(
                "images that this ybox builds have one: build it again with `ybox build VARIANT`",
            ))
        }
    }
}
