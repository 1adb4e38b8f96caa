//! GPUs: the driver, what hands them to containers, and what takes them away again.

use ybox_spec::config::Numerics;

use super::Check;
use crate::plan::{self, HandOver, Request, Tables};
use crate::probe::Facts;
use crate::probe::facts::{Engine, Fact};

/// Whether this machine has NVIDIA hardware, driven or not.
pub fn has_any(facts: &Facts) -> bool {
    let shown = facts.gpus.known().is_some_and(|gpus| !gpus.is_empty());
    shown || facts.nvidia_devices.known().is_some_and(|devices| !devices.is_empty())
}

/// By the rules of `ybox plan`: what it would refuse is what is wrong.
pub fn driver(facts: &Facts) -> Check {
    const NAME: &str = "driver";
    let request = Request { numerics: Some(Numerics::Fast), ..Request::default() };
    match plan::plan(facts, &request, &Tables::built_in()) {
        Ok(plan) if plan.devices.is_empty() => {
            Check::well(NAME, "no NVIDIA GPU: runs compute on the CPU")
        }
        Ok(plan) => {
            let count = plan.devices.len();
            Check::well(
                NAME,
                format!("{}, {count} of the GPUs fit {}", version(facts), plan.variant),
            )
        }
        Err(refused) => match refused.refusals.first() {
            Some(refusal) => {
                let wrong = format!("{}: {}", refusal.code(), refusal.sentence());
                Check::ill(NAME, version(facts), wrong, refusal.remedy())
            }
            None => Check::skipped(NAME, "there is no plan for this machine"),
        },
    }
}

fn version(facts: &Facts) -> String {
    let version = facts.driver.known().and_then(|driver| driver.version.known());
    version.map_or_else(|| "of unknown version".into(), ToString::to_string)
}

/// What hands GPUs to containers.
pub fn toolkit(facts: &Facts) -> Check {
    const NAME: &str = "toolkit";
    if !has_any(facts) {
        return Check::skipped(NAME, "no NVIDIA GPU");
    }
    let offers: Vec<_> = plan::offers(facts).iter().map(ToString::to_string).collect();
    if !offers.is_empty() {
        return Check::well(NAME, offers.join("; "));
    }
    const FOUND: &str = "nothing that hands GPUs over";
    let toolkit = facts.container_toolkit.known();
    match toolkit.map_or(0, |toolkit| toolkit.cdi_devices.len()) {
        0 => {
            let unreadable = toolkit.map_or_else(Vec::new, |t| t.unreadable_specifications.clone());
            let missing = HandOver::NoCdiSpec { folders: crate::cdi::folders(), unreadable };
            let wrong = format!("{}, and Docker has no NVIDIA runtime", missing.sentence());
            Check::ill(NAME, FOUND, wrong, missing.remedy())
        }
        listed => Check::ill(
            NAME,
            FOUND,
            format!("there are {listed} CDI devices, and no engine here takes them"),
            "install bubblewrap (`apt-get install bubblewrap`), or run `nvidia-ctk runtime configure \
             --runtime=docker` and restart Docker",
        ),
    }
}

/// What systemd takes from containers when it reloads: devices that it was not told of.
pub fn reload(facts: &Facts) -> Check {
    const NAME: &str = "reload";
    if !facts.barred_nodes.is_empty() {
        return Check::ill(
            NAME,
            facts.barred_nodes.join(", "),
            "this container may no longer open its GPU's device nodes, as happens when systemd reloads",
            "start this container again, with CDI devices",
        );
    }
    match &facts.engines.docker {
        Fact::Is(docker) if has_any(facts) && loses_gpus(docker) => Check::ill(
            NAME,
            "Docker with cgroup driver systemd and NVIDIA's runtime, without CDI devices",
            "`systemctl daemon-reload` takes the GPU from running containers",
            "let Docker hand GPUs over by CDI (`nvidia-ctk cdi generate \
             --output=/etc/cdi/nvidia.yaml`, and restart Docker)",
        ),
        _ if has_any(facts) => Check::well(NAME, "GPUs stay in containers when systemd reloads"),
        _ => Check::skipped(NAME, "no NVIDIA GPU"),
    }
}

fn loses_gpus(docker: &Engine) -> bool {
    docker.cgroup_driver.as_deref() == Some("systemd")
        && docker.nvidia_runtime.known() == Some(&true)
        && docker.cdi_devices.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;
    use crate::probe::facts::{Bubblewrap, ContainerToolkit};

    fn facts(hardware: &str) -> Facts {
        plan::pretend(hardware, &Tables::built_in()).unwrap()
    }

    fn docker(cdi: &[&str]) -> Engine {
        Engine {
            version: "28.2.2".into(),
            api: Fact::Is("1.50".into()),
            endpoint: "unix:///var/run/docker.sock".into(),
            storage_driver: Fact::Is("overlay2".into()),
            rootless: Fact::Is(false),
            nvidia_runtime: Fact::Is(true),
            cdi_devices: cdi.iter().map(|name| (*name).to_owned()).collect(),
            cgroup_driver: Some("systemd".into()),
        }
    }

    #[test]
    fn the_driver_is_ill_where_a_plan_would_be_refused() {
        assert!(!driver(&facts("A100")).is_ill());
        assert!(!driver(&facts("cpu")).is_ill());
        let old = driver(&facts("T4,driver=470.256.02"));
        let Outcome::Ill { found, wrong, mend } = old.outcome else { panic!("{old:?}") };
        assert_eq!(found, "470.256.02");
        assert!(wrong.starts_with("driver-too-old: ") && mend.contains("525.60.13"));
    }

    #[test]
    fn a_toolkit_is_only_missed_where_there_is_a_gpu() {
        assert!(!toolkit(&facts("cpu")).is_ill());
        let mut t4 = facts("T4");
        assert!(toolkit(&t4).is_ill());
        let version = Fact::Is("1.18.0".into());
        let mut of_host = ContainerToolkit {
            version,
            cdi_devices: Vec::new(),
            unreadable_specifications: vec!["/etc/cdi/nvidia.yaml: Permission denied".into()],
        };
        t4.container_toolkit = Fact::Is(of_host.clone());
        let unread = toolkit(&t4);
        let Outcome::Ill { wrong, mend, .. } = unread.outcome else { panic!("{unread:?}") };
        assert!(wrong.contains("can't be read: /etc/cdi/nvidia.yaml: Permission denied"));
        assert!(mend.starts_with("let the file be read"));
        of_host.cdi_devices = vec!["nvidia.com/gpu=all".into()];
        t4.container_toolkit = Fact::Is(of_host);
        let untaken = toolkit(&t4);
        let Outcome::Ill { wrong, .. } = untaken.outcome else { panic!("{untaken:?}") };
        assert_eq!(wrong, "there are 1 CDI devices, and no engine here takes them");
        t4.engines.bubblewrap = Fact::Is(Bubblewrap {
            path: "/usr/bin/bwrap".into(),
            version: Fact::unknown("not asked"),
            works: Fact::Is(true),
        });
        assert!(!toolkit(&t4).is_ill());
    }

    #[test]
    fn docker_s_own_way_loses_gpus_to_systemd_and_cdi_does_not() {
        let mut t4 = facts("T4");
        t4.engines.docker = Fact::Is(docker(&[]));
        assert!(reload(&t4).is_ill());
        t4.engines.docker = Fact::Is(docker(&["nvidia.com/gpu=0"]));
        assert!(!reload(&t4).is_ill());
        t4.engines.docker = Fact::Is(Engine { cgroup_driver: None, ..docker(&[]) });
        assert!(!reload(&t4).is_ill());
        t4.barred_nodes = vec!["/dev/nvidiactl".into()];
        assert!(reload(&t4).is_ill());
    }
}
