//! Which engine runs a container: the one asked for, or the first that answers.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Caller, Docker, Embedded, Engine, EngineError, EngineInfo};
use crate::image::Store;
use crate::ui::Failure;

/// An engine, as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Choice {
    /// The first that answers of Docker, Podman and the embedded runner.
    #[default]
    Auto,
    Docker,
    Podman,
    /// The unpacked image under bubblewrap; no daemon.
    Embedded,
}

/// What engines need to know of the machine and of who calls.
#[derive(Debug, Clone)]
pub struct Host {
    pub caller: Caller,
    /// Where Docker's API is, if that was said (`DOCKER_HOST`).
    pub docker_host: Option<String>,
    /// Where Podman's API is, if that was said (`CONTAINER_HOST`).
    pub container_host: Option<String>,
    /// The caller's folder for sockets (`XDG_RUNTIME_DIR`).
    pub runtime_dir: Option<PathBuf>,
    /// Folders with programs (`PATH`).
    pub path: Vec<PathBuf>,
}

impl Host {
    /// Reads what is there through `variable`: the environment, in the command.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| variable(name)?.into_string().ok().filter(|value| !value.is_empty());
        let sudo = number(text("SUDO_UID")).zip(number(text("SUDO_GID")));
        Self {
            caller: Caller::current(sudo),
            docker_host: text("DOCKER_HOST"),
            container_host: text("CONTAINER_HOST"),
            runtime_dir: text("XDG_RUNTIME_DIR").map(PathBuf::from),
            path: variable("PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default(),
        }
    }

    /// Addresses where Docker may answer, best first.
    fn docker_addresses(&self) -> Vec<String> {
        addresses(&self.docker_host, &self.runtime_dir, "docker.sock", "/var/run/docker.sock")
    }

    /// Addresses where Podman may answer, best first.
    fn podman_addresses(&self) -> Vec<String> {
        let socket = "podman/podman.sock";
        addresses(&self.container_host, &self.runtime_dir, socket, "/run/podman/podman.sock")
    }
}

fn number(text: Option<String>) -> Option<u32> {
    u32::from_str(&text?).ok()
}

/// The address that was said, alone; else the system's socket and the caller's own.
fn addresses(
    said: &Option<String>,
    runtime_dir: &Option<PathBuf>,
    own: &str,
    system: &str,
) -> Vec<String> {
    let socket = |path: &Path| format!("unix://{}", path.display());
    match said {
        Some(address) => vec![address.clone()],
        None => std::iter::once(socket(Path::new(system)))
            .chain(runtime_dir.iter().map(|dir| socket(&dir.join(own))))
            .collect(),
    }
}

/// A kind of engine, and whether it answers.
pub struct Candidate {
    /// `docker`, `podman` or `embedded`.
    pub kind: &'static str,
    pub engine: Result<Box<dyn Engine>, EngineError>,
}

impl Candidate {
    pub fn info(&self) -> Option<EngineInfo> {
        self.engine.as_ref().ok().map(|engine| engine.info())
    }
}

/// An engine that was not chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    pub kind: &'static str,
    pub reason: String,
}

/// The engine to use, and why it is none of those before it.
pub struct Selection {
    pub engine: Box<dyn Engine>,
    pub passed_over: Vec<PassedOver>,
}

/// Asks every kind of engine, in the order of preference.
pub fn survey(host: &Host, store: &Store) -> Vec<Candidate> {
    KINDS.iter().map(|kind| kind.try_out(host, store)).collect()
}

/// The engine asked for, if it answers.
pub fn select(choice: Choice, host: &Host, store: &Store) -> Result<Selection, Failure> {
    let mut passed_over = Vec::new();
    for kind in KINDS.iter().filter(|kind| choice == Choice::Auto || choice == kind.choice) {
        match kind.try_out(host, store).engine {
            Ok(engine) => return Ok(Selection { engine, passed_over }),
            Err(error) if choice != Choice::Auto => return Err(error.into()),
            Err(error) => passed_over.push(PassedOver { kind: kind.name, reason: reason(&error) }),
        }
    }
    let reasons = passed_over.into_iter().map(|passed| passed.reason).collect();
    Err(EngineError::NoneAnswers { reasons }.into())
}

fn reason(error: &EngineError) -> String {
    error.to_string()
}

type Connect = fn(&Host, &Store) -> Result<Box<dyn Engine>, EngineError>;

struct Kind {
    choice: Choice,
    name: &'static str,
    connect: Connect,
}

impl Kind {
    fn try_out(&self, host: &Host, store: &Store) -> Candidate {
        Candidate { kind: self.name, engine: (self.connect)(host, store) }
    }
}

const KINDS: [Kind; 3] = [
    Kind { choice: Choice::Docker, name: "docker", connect: docker },
    Kind { choice: Choice::Podman, name: "podman", connect: podman },
    Kind { choice: Choice::Embedded, name: "embedded", connect: embedded },
];

fn docker(host: &Host, store: &Store) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(Docker::connect("docker", &host.docker_addresses(), host.caller, store)?))
}

fn podman(host: &Host, store: &Store) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(Docker::connect("podman", &host.podman_addresses(), host.caller, store)?))
}

fn embedded(host: &Host, store: &Store) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(Embedded::find(&host.path, host.caller, store)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(variables: &[(&str, &str)]) -> Host {
        Host::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).into()))
    }

    /// A host where nothing answers.
    fn bare(dir: &Path) -> (Host, Store) {
        let nowhere = format!("unix://{}/none.sock", dir.display());
        let host = host(&[("DOCKER_HOST", &nowhere), ("CONTAINER_HOST", &nowhere)]);
        (host, Store::under(dir).unwrap())
    }

    #[test]
    fn an_address_that_was_said_is_the_only_one() {
        let host = host(&[("DOCKER_HOST", "unix:///a.sock"), ("XDG_RUNTIME_DIR", "/run/user/5")]);
        assert_eq!(host.docker_addresses(), ["unix:///a.sock"]);
        assert_eq!(
            host.podman_addresses(),
            ["unix:///run/podman/podman.sock", "unix:///run/user/5/podman/podman.sock"]
        );
    }

    #[test]
    fn an_empty_variable_says_nothing() {
        assert_eq!(
            host(&[("DOCKER_HOST", "")]).docker_addresses(),
            ["unix:///var/run/docker.sock"]
        );
    }

    #[test]
    fn sudo_counts_only_when_user_and_group_are_numbers() {
        let both = host(&[("SUDO_UID", "1000"), ("SUDO_GID", "100")]);
        assert_eq!(both.caller.sudo, Some((1000, 100)));
        assert_eq!(host(&[("SUDO_UID", "1000")]).caller.sudo, None);
        assert_eq!(host(&[("SUDO_UID", "x"), ("SUDO_GID", "100")]).caller.sudo, None);
    }

    #[test]
    fn where_nothing_answers_the_refusal_gives_each_reason() {
        let dir = tempfile::tempdir().unwrap();
        let (host, store) = bare(dir.path());
        let failure = select(Choice::Auto, &host, &store).err().unwrap();
        assert_eq!(failure.exit, 1);
        for part in ["no docker engine", "no podman engine", "bwrap", "none.sock"] {
            assert!(failure.what.contains(part), "{failure}");
        }
        assert!(failure.hint.unwrap().contains("apt-get install bubblewrap"));
    }

    #[test]
    fn an_engine_asked_for_by_name_is_not_replaced_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let (host, store) = bare(dir.path());
        for (choice, word) in
            [(Choice::Docker, "docker"), (Choice::Podman, "podman"), (Choice::Embedded, "bwrap")]
        {
            let failure = select(choice, &host, &store).err().unwrap();
            assert!(failure.what.contains(word), "{failure}");
            assert!(failure.hint.is_some());
        }
    }
}
