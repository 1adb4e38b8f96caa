//! Facts as a person reads them.

use comfy_table::{ContentArrangement, Table, presets};

use super::facts::{
    Bubblewrap, ContainerToolkit, Cpu, Driver, Engine, Fact, Facts, Gpu, Memory, PciDevice, System,
};

/// Columns of text; longer cells are wrapped.
const WIDTH: u16 = 100;

/// A table of two columns, without a trailing newline.
pub fn table(facts: &Facts) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    for (name, value) in rows(facts) {
        table.add_row([name, value]);
    }
    // Without borders there is nothing to keep the first column away from.
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table.trim_fmt()
}

fn rows(facts: &Facts) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    if let Some(spec) = &facts.pretended {
        row("Pretended", format!("{spec}: these are not facts of this machine"));
    }
    row("CPU", cpu(&facts.cpu));
    row("Instruction sets", shown(&facts.cpu.instruction_sets, |sets| sets.join(" ")));
    row("Memory", memory(&facts.memory));
    row("System", system(&facts.system));
    row("NVIDIA driver", shown(&facts.driver, driver));
    for (name, value) in gpus(facts) {
        row(&name, value);
    }
    row("Docker", shown(&facts.engines.docker, engine));
    row("Podman", shown(&facts.engines.podman, engine));
    row("Bubblewrap", shown(&facts.engines.bubblewrap, bubblewrap));
    row("NVIDIA toolkit", shown(&facts.container_toolkit, toolkit));
    rows
}

/// A known fact in words; else that there is none, or that it isn't known, and why.
fn shown<T>(fact: &Fact<T>, words: impl Fn(&T) -> String) -> String {
    match fact {
        Fact::Is(value) => words(value),
        Fact::Absent { absent } => format!("none ({absent})"),
        Fact::Unknown { unknown } => format!("unknown ({unknown})"),
    }
}

fn text<T: ToString>(fact: &Fact<T>) -> String {
    shown(fact, ToString::to_string)
}

/// Like `text`, where the reason is not worth a reader's time.
fn short<T: ToString>(fact: &Fact<T>) -> String {
    fact.known().map_or_else(|| "?".into(), ToString::to_string)
}

fn cpu(cpu: &Cpu) -> String {
    let quota = cpu.quota.known().map(|cores| format!(", limited to {cores:.2}"));
    format!(
        "{}, {} ({} cores, {} threads, {} usable{})",
        text(&cpu.model),
        short(&cpu.architecture),
        short(&cpu.physical_cores),
        short(&cpu.logical_cores),
        short(&cpu.usable_cores),
        quota.unwrap_or_default(),
    )
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

fn memory(memory: &Memory) -> String {
    let limit = memory.limit.known().map(|bytes| format!(", limited to {}", gib(*bytes)));
    shown(&memory.total, |bytes| gib(*bytes)) + &limit.unwrap_or_default()
}

fn system(system: &System) -> String {
    let windows = if system.wsl.known() == Some(&true) { ", under Windows" } else { "" };
    let [name, kernel, glibc] = [&system.name, &system.kernel, &system.glibc].map(text);
    format!("{name}, Linux {kernel}, glibc {glibc}{windows}")
}

fn driver(driver: &Driver) -> String {
    let trouble =
        driver.trouble.as_ref().map(|trouble| format!("; CUDA does not start: {trouble}"));
    let versions = format!("{}, supports CUDA {}", text(&driver.version), text(&driver.cuda));
    versions + &trouble.unwrap_or_default()
}

fn gpus(facts: &Facts) -> Vec<(String, String)> {
    match &facts.gpus {
        Fact::Is(gpus) if !gpus.is_empty() => {
            gpus.iter().map(|g| (format!("GPU {}", g.index), gpu(g))).collect()
        }
        Fact::Is(_) => vec![("GPU".into(), undriven(&facts.nvidia_devices))],
        other => vec![("GPU".into(), shown(other, |_| String::new()))],
    }
}

fn undriven(devices: &Fact<Vec<PciDevice>>) -> String {
    match devices.known() {
        Some(devices) if !devices.is_empty() => {
            let named: Vec<_> = devices.iter().map(|d| format!("{} at {}", d.id, d.pci)).collect();
            format!("none usable: no driver shows {}", named.join(", "))
        }
        _ => "none".into(),
    }
}

fn gpu(gpu: &Gpu) -> String {
    let capability = format!("compute capability {}", text(&gpu.capability));
    let mut parts = vec![text(&gpu.name), capability];
    parts.extend(gpu.memory.known().map(|bytes| gib(*bytes)));
    parts.extend(gpu.free.known().map(|bytes| format!("{} free", gib(*bytes))));
    parts.extend(gpu.uuid.known().cloned());
    parts.extend(gpu.pci.known().map(|pci| format!("at {pci}")));
    parts.join(", ")
}

fn engine(engine: &Engine) -> String {
    let yes = |fact: &Fact<bool>, words: &str| (fact.known() == Some(&true)).then(|| words.into());
    let cdi = match engine.cdi_devices.len() {
        0 => None,
        count => Some(format!("{count} CDI devices")),
    };
    let mut parts = vec![
        engine.version.clone(),
        format!("API {}", short(&engine.api)),
        engine.endpoint.clone(),
        format!("storage {}", short(&engine.storage_driver)),
    ];
    parts.extend(yes(&engine.rootless, "rootless"));
    parts.extend(yes(&engine.nvidia_runtime, "NVIDIA runtime"));
    parts.extend(cdi);
    parts.join(", ")
}

fn bubblewrap(bubblewrap: &Bubblewrap) -> String {
    let works = match &bubblewrap.works {
        Fact::Is(true) => "makes containers here".to_owned(),
        Fact::Is(false) => "can't make containers here".to_owned(),
        Fact::Absent { absent } => format!("can't make containers here: {absent}"),
        Fact::Unknown { unknown } => format!("not known whether it works here: {unknown}"),
    };
    format!("{}, {}, {works}", text(&bubblewrap.version), bubblewrap.path)
}

fn toolkit(toolkit: &ContainerToolkit) -> String {
    format!("{}, {} CDI devices", text(&toolkit.version), toolkit.cdi_devices.len())
}
