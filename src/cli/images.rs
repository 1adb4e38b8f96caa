//! `ybox images`.

use std::path::{Path, PathBuf};

use indicatif::DecimalBytes;
use serde::Serialize;
use ybox_spec::Digest;

use super::{Context, ExitStatus};
use crate::image::{ImageError, LOCK_LABEL, Store, StoredImage, garbage, short_reference};
use crate::ui::{self, Failure};

#[derive(Debug, clap::Args)]
pub struct Args {}

/// A line of the list.
#[derive(Serialize)]
struct Listed {
    reference: String,
    manifest: Digest,
    config: Digest,
    /// Bytes of the layers' blobs; nothing if manifest or config cannot be read.
    size: Option<u64>,
    /// Hash of the lock that it was built from.
    lock: Option<String>,
}

pub fn run(_args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let store = Store::open(&context.settings)?;
    let images: Vec<_> = store.images()?.into_iter().map(|image| listed(&store, image)).collect();
    if context.settings.json {
        println!("{}", serde_json::json!(images));
    } else if images.is_empty() {
        eprintln!("no images yet: make one with `ybox build cpu`");
    } else {
        print!("{}", table(&images));
        eprintln!("{}", use_of_disk(&context.settings.home));
    }
    Ok(ExitStatus::Yes)
}

/// What images take in all: layers that several of them have are there once.
fn use_of_disk(home: &Path) -> String {
    let folders = ["store", "rootfs", "cache"].map(|name| home.join(name));
    let sizes = garbage::sizes(&folders.each_ref().map(PathBuf::as_path));
    let [stored, unpacked, downloads] = [0, 1, 2].map(|i| DecimalBytes(sizes[i]));
    format!("on disk: {stored} stored, {unpacked} unpacked, {downloads} downloaded packages")
}

fn listed(store: &Store, image: StoredImage) -> Listed {
    let (size, lock) = details(store, &image).ok().unzip();
    let StoredImage { reference, manifest, config } = image;
    Listed { reference, manifest, config, size, lock: lock.flatten() }
}

fn details(store: &Store, image: &StoredImage) -> Result<(u64, Option<String>), ImageError> {
    let size = store.layers(image)?.iter().map(|layer| layer.size).sum();
    let labels = store.config(image)?.config().as_ref().and_then(|c| c.labels().clone());
    Ok((size, labels.and_then(|labels| labels.get(LOCK_LABEL).cloned())))
}

fn table(images: &[Listed]) -> String {
    let row = |image: &Listed| {
        let size = image.size.map_or("damaged".into(), |size| DecimalBytes(size).to_string());
        let lock = image.lock.as_deref().map_or("-", short).into();
        let config = short(&image.config.to_string()).into();
        // The next column tells images of one name apart.
        vec![short_reference(&image.reference).into(), config, size, lock]
    };
    let rows: Vec<_> = images.iter().map(row).collect();
    ui::table(&["image", "config", "size", "lock"], &rows, &["size"])
}

/// `sha256:` and twelve digits.
fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}
