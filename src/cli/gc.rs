//! `ybox gc`: removes what nothing needs any more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use indicatif::DecimalBytes;
use serde_json::json;
use ybox_spec::Digest;

use super::{Context, ExitStatus};
use crate::fetch::Cache;
use crate::image::garbage::{self, Garbage, Kind};
use crate::image::{Store, StoredImage};
use crate::lock::Variants;
use crate::record::{images_of_runs, list_runs, places};
use crate::run::CachePlace;
use crate::ui::{self, Failure};

const AFTER_HELP: &str = "\
Shows what would go; --yes removes it. An image that has a name stays with all that it is made of. An
image whose name has moved on stays, too, unless --former is given and no run has it: runs are looked
for where ybox has run or pulled any, and under ./runs. Downloads stay unless --downloads is given; those
that a lock of this project names stay in any case.

While another ybox uses the store, nothing is removed.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Remove it; otherwise it is only shown
    #[arg(long)]
    yes: bool,
    /// Also images whose name has moved on to another, and which no run was started with
    #[arg(long)]
    former: bool,
    /// Also downloaded packages that no lock of this project names
    #[arg(long)]
    downloads: bool,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let home = &context.settings.home;
    let store = match args.yes {
        true => Store::alone(home)?.ok_or_else(in_use)?,
        false => Store::under(home)?,
    };
    let former = if args.former { unneeded(&store, context)? } else { Vec::new() };
    let mut garbage = store.garbage(&former)?;
    garbage.extend(pictures(home));
    if args.downloads {
        garbage.extend(downloads(context)?);
    }
    let paths: Vec<_> = garbage.iter().map(|one| one.path.as_path()).collect();
    let sizes = garbage::sizes(&paths);
    if args.yes {
        store.forget(&former)?;
        garbage::remove(&garbage)?;
    }
    show(&garbage, &sizes, &former, &args, context.settings.json);
    Ok(ExitStatus::Yes)
}

fn in_use() -> Failure {
    Failure::new("another ybox is using the image store", 1)
        .hint("wait until builds, pulls and runs have ended")
}

/// Images whose name has moved on, and which no run that is known of was started with.
fn unneeded(store: &Store, context: &Context) -> Result<Vec<StoredImage>, Failure> {
    let (home, directory) = (&context.settings.home, context.directory()?);
    let unknown = |path: &Path, why: String| {
        Failure::new(format!("cannot tell which image {} needs: {why}", path.display()), 2)
            .hint("mend or remove it, or leave --former out")
    };
    let mut parents = places(home).map_err(|e| unknown(home, e.to_string()))?;
    let here = list_runs(&directory).into_iter();
    parents.extend(here.filter_map(|run| Some(directory.join(run.folder).parent()?.to_owned())));
    let needed: BTreeSet<Digest> =
        images_of_runs(&parents).map_err(|(path, why)| unknown(&path, why))?.into_iter().collect();
    let mut former = store.former()?;
    former.retain(|image| !needed.contains(&image.config));
    Ok(former)
}

/// Folders of decoded pictures that no run uses.
fn pictures(home: &Path) -> Vec<Garbage> {
    let unused = CachePlace::unused(home).into_iter();
    unused.map(|path| Garbage { kind: Kind::Pictures, path }).collect()
}

/// Downloads that no lock of the project names, and that have ended.
fn downloads(context: &Context) -> Result<Vec<Garbage>, Failure> {
    let variants = Variants::of(context.settings.project.as_deref())?;
    let mut named = BTreeSet::new();
    for variant in variants.names() {
        let Some(lock) = variants.lock(&variant)? else { continue };
        named.extend(lock.debs.iter().map(|deb| deb.sha256.hex()));
        named.extend(lock.wheels.iter().map(|wheel| wheel.sha256.hex()));
    }
    let is_named = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        named.contains(&*stem)
    };
    let mut paths = Cache::open(&context.settings.home)?.at_rest()?;
    paths.retain(|path| !is_named(path));
    Ok(paths.into_iter().map(|path| Garbage { kind: Kind::Download, path }).collect())
}

fn show(garbage: &[Garbage], sizes: &[u64], former: &[StoredImage], args: &Args, json: bool) {
    let total: u64 = sizes.iter().sum();
    if json {
        let items: Vec<_> = garbage
            .iter()
            .zip(sizes)
            .map(|(one, size)| json!({ "kind": one.kind, "path": one.path, "bytes": size }))
            .collect();
        let images: Vec<_> = former.iter().map(|image| &image.reference).collect();
        let removed = args.yes;
        println!(
            "{}",
            json!({ "removed": removed, "bytes": total, "images": images, "items": items })
        );
        return;
    }
    for image in former {
        eprintln!("image {} has no name and no run any more", image.reference);
    }
    print!("{}", table(garbage, sizes));
    let total = DecimalBytes(total);
    match args.yes {
        true => eprintln!("removed {total}"),
        false if garbage.is_empty() => eprintln!("nothing to remove"),
        false => eprintln!("{total} can go: `ybox gc --yes`, with the same flags, removes it"),
    }
}

fn table(garbage: &[Garbage], sizes: &[u64]) -> String {
    let mut kinds: BTreeMap<Kind, (usize, u64)> = BTreeMap::new();
    for (one, size) in garbage.iter().zip(sizes) {
        let (count, bytes) = kinds.entry(one.kind).or_default();
        *count += 1;
        *bytes += size;
    }
    let row = |(kind, (count, bytes)): (Kind, (usize, u64))| {
        vec![kind.name().to_owned(), count.to_string(), DecimalBytes(bytes).to_string()]
    };
    let rows: Vec<_> = kinds.into_iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    ui::table(&["what", "count", "size"], &rows, &["count", "size"])
}
