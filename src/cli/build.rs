//! `ybox build`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Instant;

use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Context, ExitStatus};
use crate::engine::{self, EngineInfo, Host, Selection};
use crate::fetch::Fetcher;
use crate::image::{Assembly, Built, BuiltLayer, PACKER_REVISION, Reference, Store, Watch};
use crate::lock::Variants;
use crate::ui::{self, Failure};

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
    let project = context.settings.project.as_deref();
    let variants = Variants::of(project)?;
    let (recipe, lock) = variants.fitting(&args.variant, PACKER_REVISION, |_| true)?;
    let beside = |path: &str| project.map_or_else(|| path.into(), |project| project.join(path));
    let trainer = args.trainer.unwrap_or_else(|| beside(&recipe.trainer.binary));
    let store = Store::open(&context.settings)?;
    let presets = beside(&recipe.presets.from);
    let assembly = Assembly::plan(&store, &recipe, &lock, &trainer, &presets)?;
    // What is going to be read is hashed again, even if it has been in the cache for long.
    let fetcher = Fetcher::new(&context.settings)?.deep(true);
    let inputs = context.runtime.block_on(fetcher.all(&assembly.wanted()))?;
    let built = assembly.build(&inputs, &reference, &Talk::new())?;
    eprint!("{}", table(&built.layers));
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
        println!("{}", image.pinned());
    }
}

fn table(layers: &[BuiltLayer]) -> String {
    let row = |layer: &BuiltLayer| {
        let became = if layer.reused { "unchanged" } else { "new" };
        let digest = &layer.diff_id.to_string()[..19];
        let (unpacked, stored) = (bytes(layer.unpacked), bytes(layer.size));
        vec![layer.name.clone(), unpacked, stored, digest.into(), became.into()]
    };
    let total = |size: fn(&BuiltLayer) -> u64| bytes(layers.iter().map(size).sum());
    let mut rows: Vec<_> = layers.iter().map(row).collect();
    rows.push(vec!["total".into(), total(|l| l.unpacked), total(|l| l.size), "".into(), "".into()]);
    ui::table(&["layer", "size", "stored", "digest", ""], &rows, &["size", "stored"])
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
