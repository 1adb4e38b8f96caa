//! `ybox build`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Context, ExitStatus};
use crate::engine::{self, EngineInfo, Host, Selection};
use crate::fetch::Fetcher;
use crate::image::{Assembly, Built, BuiltLayer, PACKER_REVISION, Reference, Store, Watch};
use crate::lock::{Lock, Recipe};
use crate::ui::Failure;

/// Prints the image's reference with its digest, `ybox/cpu:latest@sha256:...`, on standard output.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which image: the name of a recipe in docker/
    #[arg(default_value = "cpu")]
    variant: String,
    /// The trainer to put in [default: where the recipe says]
    #[arg(long, value_name = "PATH")]
    trainer: Option<PathBuf>,
    /// Name of the image [default: ybox/VARIANT:latest]
    #[arg(long, value_name = "NAME[:TAG]")]
    tag: Option<String>,
    /// Only store the image, don't load it into an engine
    #[arg(long)]
    no_load: bool,
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    let reference: Reference =
        args.tag.unwrap_or_else(|| format!("ybox/{}:latest", args.variant)).parse()?;
    let project = project(context)?;
    let recipe = read_recipe(&project, &args.variant)?;
    let lock = read_lock(&project, &args.variant, &recipe)?;
    let trainer = args.trainer.unwrap_or_else(|| project.join(&recipe.trainer.binary));
    let store = Store::open(&context.settings)?;
    let presets = project.join(&recipe.presets.from);
    let assembly = Assembly::plan(&store, &recipe, &lock, &trainer, &presets)?;
    // What is going to be read is hashed again, even if it has been in the cache for long.
    let fetcher = Fetcher::new(&context.settings)?.deep(true);
    let inputs = context.runtime.block_on(fetcher.all(&assembly.wanted()))?;
    let built = assembly.build(&inputs, &reference, &Talk::new())?;
    eprintln!("{}", table(&built.layers).trim_fmt());
    if !args.no_load {
        load(&store, &built)?;
    }
    print(&built, context.settings.json);
    Ok(ExitStatus::Yes)
}

/// Makes the image known to the daemon that answers here. Where none does, the embedded runner
/// unpacks it when it is first run.
fn load(store: &Store, built: &Built) -> Result<(), Failure> {
    let host = Host::read(|name| std::env::var_os(name));
    match engine::select(engine::Choice::Auto, &host, store) {
        Ok(Selection { engine, .. }) if engine.info().kind != "embedded" => {
            let start = Instant::now();
            engine.prepare(&built.image)?;
            let EngineInfo { kind, version, .. } = engine.info();
            eprintln!("loaded into {kind} {version} in {:.1} s", start.elapsed().as_secs_f64());
        }
        _ => eprintln!("no Docker or Podman answers: the image is in ybox's own store only"),
    }
    Ok(())
}

fn project(context: &Context) -> Result<PathBuf, Failure> {
    context.settings.project.clone().ok_or_else(|| {
        Failure::new("there is no docker/cpu.yaml here or in a folder above", 2)
            .hint("run it in the project's folder, or say where that is with --project DIR")
    })
}

fn read_recipe(project: &Path, variant: &str) -> Result<Recipe, Failure> {
    let folder = project.join("docker");
    let path = folder.join(format!("{variant}.yaml"));
    if variant.contains('/') || !path.is_file() {
        let known = recipes(&folder).join(", ");
        return Err(Failure::new(format!("there is no recipe `{variant}` in docker/"), 2)
            .hint(format!("it has: {known}")));
    }
    Ok(Recipe::read(&path)?)
}

fn recipes(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|e| e.file_name().to_str()?.strip_suffix(".yaml").map(Into::into))
        .collect();
    names.sort();
    names
}

/// The lock, which must have been made from this recipe and for this packer.
fn read_lock(project: &Path, variant: &str, recipe: &Recipe) -> Result<Lock, Failure> {
    let refuse = |what: String| Failure::new(what, 1).hint(format!("run `ybox lock {variant}`"));
    let name = format!("docker/{variant}.lock");
    let lock = Lock::read(&project.join(&name))?
        .ok_or_else(|| refuse(format!("docker/{variant}.yaml is not locked: no {name}")))?;
    if !lock.fits(recipe) {
        return Err(refuse(format!("{name} was made from another docker/{variant}.yaml")));
    }
    if lock.packer != PACKER_REVISION {
        let revision = lock.packer;
        return Err(refuse(format!(
            "{name} is for packer revision {revision}, this ybox has {PACKER_REVISION}"
        )));
    }
    Ok(lock)
}

fn print(built: &Built, json: bool) {
    let image = &built.image;
    if json {
        let size: u64 = built.layers.iter().map(|layer| layer.size).sum();
        let document = json!({
            "reference": image.reference,
            "manifest": image.manifest,
            "config": image.config,
            "size": size,
            "layers": built.layers,
        });
        println!("{document}");
    } else {
        println!("{}@{}", image.reference, image.manifest);
    }
}

fn table(layers: &[BuiltLayer]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["layer", "size", "stored", "digest", ""]);
    for layer in layers {
        let became = if layer.reused { "unchanged" } else { "new" };
        let digest = layer.diff_id.to_string()[..19].to_owned();
        table.add_row([&layer.name, &bytes(layer.unpacked), &bytes(layer.size), &digest, became]);
    }
    let total = |size: fn(&BuiltLayer) -> u64| bytes(layers.iter().map(size).sum());
    table.add_row(["total", &total(|l| l.unpacked), &total(|l| l.size), "", ""]);
    for column in table.column_iter_mut().skip(1).take(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn bytes(size: u64) -> String {
    DecimalBytes(size).to_string()
}

/// Progress on standard error: a bar on a terminal, a line per layer elsewhere.
struct Talk {
    bar: ProgressBar,
    terminal: bool,
}

impl Talk {
    fn new() -> Self {
        Self { bar: ProgressBar::hidden(), terminal: std::io::stderr().is_terminal() }
    }
}

impl Watch for Talk {
    fn begin(&self, layer: &str, size: u64) {
        if !self.terminal {
            return eprintln!("writing layer {layer} ({})", bytes(size));
        }
        let style = ProgressStyle::with_template(
            "layer {msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {eta}",
        );
        self.bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        self.bar.set_style(style.expect("the template is a valid constant"));
        self.bar.set_length(size);
        self.bar.set_position(0);
        self.bar.set_message(layer.to_owned());
    }

    fn advance(&self, size: u64) {
        self.bar.inc(size);
    }

    fn done(&self, _layer: &BuiltLayer) {
        self.bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
}
