//! Facts about this host: GPUs, driver, CPU, engines. No decisions: those are `plan`'s. Every file is
//! read below a given root, every program and library is named by the caller, and everything that
//! could hang has a time limit.

mod cgroup;
mod cpu;
mod driver;
mod engines;
pub mod facts;
mod file;
mod gpu;
mod programs;
#[cfg(test)]
mod stand_in;
mod surroundings;
mod system;
mod table;
pub mod version;

pub use cpu::INSTRUCTION_SETS;
pub use driver::{Answer, answer};
pub use engines::{Endpoint, Kind};
pub use facts::{Fact, Facts};
pub use gpu::Questioner;
pub use surroundings::Surroundings;
pub use table::table;

use crate::cdi;
use facts::{ContainerToolkit, Engines};

/// Learns what `surroundings` have. Takes no longer than a little over their `patience`.
pub async fn probe(surroundings: &Surroundings) -> Facts {
    let Surroundings { root, search_path, patience, .. } = surroundings;
    let limits = cgroup::limits(root);
    let (answer, (docker, podman), bubblewrap, toolkit) = tokio::join!(
        gpu::ask(&surroundings.questioner, *patience),
        engines::engines(&surroundings.endpoints, *patience),
        programs::bubblewrap(search_path, *patience),
        programs::toolkit_version(search_path, *patience),
    );
    let apart = gpu::apart(&answer);
    let (driver, gpus) = gpu::combine(answer, system::kernel_module(root));
    // Who may open nodes is only of interest where the driver shows nothing.
    let shown = gpus.known().is_some_and(|gpus| !gpus.is_empty());
    let barred_nodes = if shown { Vec::new() } else { system::barred_nodes(root) };
    Facts {
        schema: facts::SCHEMA.into(),
        pretended: None,
        cpu: cpu::cpu(root, &limits),
        memory: cpu::memory(root, &limits),
        system: system::system(root),
        driver,
        gpus,
        apart,
        nvidia_devices: system::nvidia_devices(root),
        barred_nodes,
        engines: Engines { docker, podman, bubblewrap },
        container_toolkit: container_toolkit(
            toolkit,
            cdi::nvidia_devices(root),
            cdi::unreadable(root),
        ),
    }
}

/// CDI specifications count as the toolkit's work even where its programs can't be found.
fn container_toolkit(
    version: Fact<String>,
    cdi_devices: Vec<String>,
    unreadable_specifications: Vec<String>,
) -> Fact<ContainerToolkit> {
    match version {
        Fact::Absent { absent }
            if cdi_devices.is_empty() && unreadable_specifications.is_empty() =>
        {
            Fact::absent(absent)
        }
        version => Fact::Is(ContainerToolkit { version, cdi_devices, unreadable_specifications }),
    }
}
