//! Where `probe` looks. Made once, from the environment, at the edge of the program.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::engines::{Endpoint, Kind};
use super::gpu::Questioner;
use crate::engine::{docker_addresses, podman_addresses};

/// Long enough for a driver that has to wake its GPUs, short enough to sit through.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The folder that stands for `/`.
    pub root: PathBuf,
    /// Folders that programs are looked for in.
    pub search_path: Vec<PathBuf>,
    /// Where engines may answer, the preferred ones first.
    pub endpoints: Vec<Endpoint>,
    /// Who asks NVIDIA's libraries.
    pub questioner: Questioner,
    /// How long each question may take.
    pub patience: Duration,
}

impl Surroundings {
    /// This machine, with `variable` for its environment.
    pub fn of_host(questioner: Questioner, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let search_path = variable("PATH").map(|path| std::env::split_paths(&path).collect());
        Self {
            root: "/".into(),
            search_path: search_path.unwrap_or_default(),
            endpoints: endpoints(|name| {
                variable(name)?.into_string().ok().filter(|v| !v.is_empty())
            }),
            questioner,
            patience: PATIENCE,
        }
    }
}

fn endpoints(variable: impl Fn(&str) -> Option<String>) -> Vec<Endpoint> {
    let of = |kind| move |url| Endpoint { url, kind };
    let docker = docker_addresses(&variable).into_iter().map(of(Kind::Docker));
    docker.chain(podman_addresses(&variable).into_iter().map(of(Kind::Podman))).collect()
}
