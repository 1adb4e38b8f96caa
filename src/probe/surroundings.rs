//! Where `probe` looks. Made once, from the environment, at the edge of the program.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::engines::{Endpoint, Kind};
use super::gpu::Questioner;

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

/// An endpoint that the environment names stands alone for its engine, as it does for the engine's
/// own client.
fn endpoints(variable: impl Fn(&str) -> Option<String>) -> Vec<Endpoint> {
    let runtime = variable("XDG_RUNTIME_DIR");
    let home = variable("HOME");
    let below =
        |folder: &Option<String>, path: &str| folder.as_ref().map(|f| format!("{f}/{path}"));
    let docker = [
        Some("/var/run/docker.sock".into()),
        below(&runtime, "docker.sock"),
        below(&home, ".docker/run/docker.sock"),
    ];
    let podman = [below(&runtime, "podman/podman.sock"), Some("/run/podman/podman.sock".into())];
    let either = |named: Option<String>, kind, sockets: &[Option<String>]| match named {
        Some(url) => vec![Endpoint { url, kind }],
        None => sockets
            .iter()
            .flatten()
            .map(|socket| Endpoint { url: format!("unix://{socket}"), kind })
            .collect(),
    };
    let mut endpoints = either(variable("DOCKER_HOST"), Kind::Docker, &docker);
    endpoints.extend(either(variable("CONTAINER_HOST"), Kind::Podman, &podman));
    endpoints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(variables: &[(&str, &str)]) -> Vec<String> {
        let value = |name: &str| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        };
        endpoints(value).into_iter().map(|endpoint| endpoint.url).collect()
    }

    #[test]
    fn the_environment_names_the_sockets() {
        assert_eq!(urls(&[]), ["unix:///var/run/docker.sock", "unix:///run/podman/podman.sock"]);
        assert_eq!(
            urls(&[("DOCKER_HOST", "tcp://127.0.0.1:2375"), ("XDG_RUNTIME_DIR", "/run/user/1000")]),
            [
                "tcp://127.0.0.1:2375",
                "unix:///run/user/1000/podman/podman.sock",
                "unix:///run/podman/podman.sock"
            ]
        );
    }
}
