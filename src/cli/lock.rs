//! `ybox lock`: resolves recipes, shows what changes, writes the lock files.

use std::path::Path;
use std::time::SystemTime;

use serde_json::json;

use super::{Context, ExitStatus};
use crate::fetch::Fetcher;
use crate::image::PACKER_REVISION;
use crate::lock::{self, Change, Lock, LockError, Resolution, Stale, Upgrade, Variants};
use crate::ui::Failure;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Recipes in docker/, without `.yaml` [default: all]
    #[arg(value_name = "VARIANT")]
    variants: Vec<String>,
    /// Only say whether the lock fits its recipe and this ybox; asks no network, changes nothing
    #[arg(long, conflicts_with_all = ["upgrade", "upgrade_all", "dry_run"])]
    check: bool,
    /// Show what would change, write nothing
    #[arg(long)]
    dry_run: bool,
    /// Look up this input again and keep the others; may be given more than once
    #[arg(long, value_name = "NAME")]
    upgrade: Vec<String>,
    /// Look up every input again
    #[arg(long, conflicts_with = "upgrade")]
    upgrade_all: bool,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let variants = Variants::of(context.settings.project.as_deref())?;
    let names = chosen(&args, &variants)?;
    let mut status = ExitStatus::Yes;
    for variant in &names {
        let outcome = if args.check {
            check(&variants, variant)?
        } else {
            resolve(&args, context, &variants, variant)?
        };
        outcome.show(context.settings.json);
        if matches!(outcome.result, Status::Stale(_)) {
            status = ExitStatus::No;
        }
    }
    Ok(status)
}

/// The variants that were named; else all, or those that have what is to be upgraded.
fn chosen(args: &Args, variants: &Variants) -> Result<Vec<String>, LockError> {
    if !args.variants.is_empty() {
        return Ok(args.variants.clone());
    }
    let (mut all, mut having) = (Vec::new(), Vec::new());
    for variant in &variants.names() {
        let recipe = variants.recipe(variant)?;
        if let (Some(how), None) = (&recipe.unlocked, variants.lock(variant)?) {
            eprintln!("note: {variant} is left out, since it has no lock yet: {how}");
            continue;
        }
        all.push(variant.clone());
        if args.upgrade.iter().all(|name| recipe.input_names().any(|input| input == name)) {
            having.push(variant.clone());
        }
    }
    Ok(if having.is_empty() { all } else { having })
}

/// What became of one variant.
struct Outcome<'a> {
    variant: &'a str,
    /// For people: relative to the project.
    file: String,
    result: Status,
}

enum Status {
    Fits,
    Stale(Vec<Stale>),
    Unchanged,
    Written(Vec<Change>),
    WouldWrite(Vec<Change>),
}

fn check<'a>(variants: &Variants, variant: &'a str) -> Result<Outcome<'a>, LockError> {
    let recipe = variants.recipe(variant)?;
    let reasons = match variants.lock(variant)? {
        Some(lock) => lock.stale(&recipe, PACKER_REVISION),
        None => vec![Stale::NotLocked],
    };
    let result = if reasons.is_empty() { Status::Fits } else { Status::Stale(reasons) };
    Ok(Outcome { variant, file: file_name(variants, variant), result })
}

fn resolve<'a>(
    args: &Args,
    context: &Context,
    variants: &Variants,
    variant: &'a str,
) -> Result<Outcome<'a>, Failure> {
    let recipe = variants.recipe(variant)?;
    let older = variants.lock(variant)?;
    let upgrade = match args.upgrade_all {
        true => Upgrade::All,
        false => Upgrade::Only(args.upgrade.clone()),
    };
    let fetcher = Fetcher::new(&context.settings)?;
    let resolving = lock::resolve(
        &fetcher,
        &recipe,
        older.as_ref(),
        &upgrade,
        PACKER_REVISION,
        SystemTime::now(),
    );
    let Resolution { lock: newer, unchecked } = context.runtime.block_on(resolving)?;
    for package in unchecked {
        eprintln!(
            "note: {package} is kept but has left the archive: what it depends on was not checked"
        );
    }
    let result = settle(args, &variants.lock_path(variant), older.as_ref(), &newer)?;
    Ok(Outcome { variant, file: file_name(variants, variant), result })
}

/// Writes the lock where that changes anything and is wanted.
fn settle(
    args: &Args,
    path: &Path,
    older: Option<&Lock>,
    newer: &Lock,
) -> Result<Status, LockError> {
    let changes = lock::changes(older, newer);
    if args.dry_run {
        return Ok(match newer.is_written(path) {
            true => Status::Unchanged,
            false => Status::WouldWrite(changes),
        });
    }
    Ok(if newer.write(path)? { Status::Written(changes) } else { Status::Unchanged })
}

fn file_name(variants: &Variants, variant: &str) -> String {
    let path = variants.lock_path(variant);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("docker/{name}")
}

impl Outcome<'_> {
    /// The data on standard output, the talk on standard error.
    fn show(&self, json: bool) {
        if json {
            println!("{}", self.json());
            return;
        }
        let file = &self.file;
        match &self.result {
            Status::Fits => eprintln!("{file} fits its recipe"),
            Status::Stale(reasons) => {
                print_lines(reasons);
                eprintln!("{file} does not fit; run ybox lock {}", self.variant);
            }
            Status::Unchanged => eprintln!("{file} is up to date"),
            Status::Written(changes) => {
                print_lines(changes);
                eprintln!("wrote {file}{}", no_input_changed(changes));
            }
            Status::WouldWrite(changes) => {
                print_lines(changes);
                eprintln!("would write {file}{}", no_input_changed(changes));
            }
        }
    }

    fn json(&self) -> serde_json::Value {
        let (status, changes, reasons) = match &self.result {
            Status::Fits => ("fits", None, None),
            Status::Stale(reasons) => ("stale", None, Some(reasons)),
            Status::Unchanged => ("unchanged", None, None),
            Status::Written(changes) => ("written", Some(changes), None),
            Status::WouldWrite(changes) => ("would-write", Some(changes), None),
        };
        json!({
            "variant": self.variant,
            "file": self.file,
            "status": status,
            "changes": changes.map_or(&[][..], |c| c),
            "reasons": reasons.map_or(&[][..], |r| r),
        })
    }
}

fn no_input_changed(changes: &[Change]) -> &'static str {
    if changes.is_empty() { "; no input changed" } else { "" }
}

fn print_lines(lines: &[impl std::fmt::Display]) {
    for line in lines {
        println!("{line}");
    }
}
