//! Which engines of a host can hand GPUs to a container, and by what.

use std::fmt;

use crate::probe::Facts;

/// The first Podman whose API hands CDI devices over; those before it say nothing and don't.
/// <https://github.com/containers/podman/pull/25171>
pub const PODMAN: (u32, u32) = (5, 4);

/// An engine that can hand GPUs over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub engine: &'static str,
    /// Whether it has NVIDIA's runtime.
    pub runtime: bool,
    /// How many CDI devices it can be asked for.
    pub cdi: usize,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runtime = self.runtime.then(|| "NVIDIA's runtime".to_owned());
        let cdi = (self.cdi > 0).then(|| format!("{} CDI devices", self.cdi));
        let means: Vec<_> = runtime.into_iter().chain(cdi).collect();
        write!(f, "{} has {}", self.engine, means.join(" and "))
    }
}

/// The preferred first. Docker goes by its own list of CDI devices; Podman's API has no such list, and
/// it reads the host's specifications, as the embedded runner does.
pub fn offers(facts: &Facts) -> Vec<Offer> {
    let engines = &facts.engines;
    let docker = engines.docker.known().map(|docker| {
        let runtime = docker.nvidia_runtime.known() == Some(&true);
        Offer { engine: "docker", runtime, cdi: docker.cdi_devices.len() }
    });
    let listed = facts.container_toolkit.known().map_or(0, |toolkit| toolkit.cdi_devices.len());
    let podman = engines.podman.known().is_some_and(|podman| podman_hands_over(&podman.version));
    let works = engines.bubblewrap.known().and_then(|bubblewrap| bubblewrap.works.known());
    let by_files = [("podman", podman), ("bubblewrap", works == Some(&true))];
    let by_files = by_files.into_iter().filter(|(_, works)| *works);
    let by_files = by_files.map(|(engine, _)| Offer { engine, runtime: false, cdi: listed });
    docker.into_iter().chain(by_files).filter(|offer| offer.runtime || offer.cdi > 0).collect()
}

/// Whether a Podman of this version hands over what its API is asked for.
pub fn podman_hands_over(version: &str) -> bool {
    release(version).is_some_and(|have| have >= PODMAN)
}

/// Major and minor.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(['.', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::{Tables, pretend};
    use super::*;
    use crate::probe::Fact;
    use crate::probe::facts::{Bubblewrap, ContainerToolkit, Engine};

    fn engine(version: &str, runtime: bool, cdi: &[&str]) -> Fact<Engine> {
        Fact::Is(Engine {
            version: version.into(),
            api: Fact::Is("1.50".into()),
            endpoint: "unix:///run/engine.sock".into(),
            storage_driver: Fact::Is("overlay2".into()),
            rootless: Fact::Is(false),
            nvidia_runtime: Fact::Is(runtime),
            cdi_devices: cdi.iter().map(|name| (*name).to_owned()).collect(),
            cgroup_driver: None,
        })
    }

    fn bubblewrap(works: bool) -> Fact<Bubblewrap> {
        let (version, works) = (Fact::unknown("not asked"), Fact::Is(works));
        Fact::Is(Bubblewrap { path: "/usr/bin/bwrap".into(), version, works })
    }

    fn said(change: impl FnOnce(&mut Facts)) -> Vec<String> {
        let mut facts = pretend("A100", &Tables::built_in()).unwrap();
        change(&mut facts);
        offers(&facts).iter().map(ToString::to_string).collect()
    }

    fn listed() -> Fact<ContainerToolkit> {
        let cdi_devices = vec!["nvidia.com/gpu=0".into(), "nvidia.com/gpu=all".into()];
        Fact::Is(ContainerToolkit {
            version: Fact::Is("1.18.0".into()),
            cdi_devices,
            unreadable_specifications: Vec::new(),
        })
    }

    #[test]
    fn docker_hands_over_by_its_runtime_or_its_own_list() {
        let docker = |docker| said(|facts| facts.engines.docker = docker);
        assert_eq!(docker(engine("28.2.2", true, &[])), ["docker has NVIDIA's runtime"]);
        let cdi = engine("28.2.2", false, &["nvidia.com/gpu=0"]);
        assert_eq!(docker(cdi), ["docker has 1 CDI devices"]);
        let both = docker(engine("28.2.2", true, &["nvidia.com/gpu=0"]));
        assert_eq!(both, ["docker has NVIDIA's runtime and 1 CDI devices"]);
        let of_the_host = said(|facts| {
            facts.engines.docker = engine("28.2.2", false, &[]);
            facts.container_toolkit = listed();
        });
        assert!(of_the_host.is_empty(), "{of_the_host:?}");
    }

    #[test]
    fn podman_and_the_embedded_runner_hand_over_by_the_host_s_specifications() {
        let with = |podman: Option<&str>, works, toolkit: bool| {
            said(|facts| {
                facts.engines.podman =
                    podman.map_or_else(|| Fact::absent("no socket"), |v| engine(v, false, &[]));
                facts.engines.bubblewrap = bubblewrap(works);
                facts.container_toolkit =
                    if toolkit { listed() } else { Fact::absent("no nvidia-ctk") };
            })
        };
        let [podman, embedded] = ["podman has 2 CDI devices", "bubblewrap has 2 CDI devices"];
        assert_eq!(with(Some("5.4.0"), true, true), [podman, embedded]);
        assert_eq!(with(Some("5.3.2"), true, true), [embedded]);
        assert_eq!(with(None, true, true), [embedded]);
        assert!(with(None, false, true).is_empty());
        assert!(with(Some("5.4.0"), true, false).is_empty());
    }
}
