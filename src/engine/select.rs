//! Which engine runs a container: the one asked for, or the first that answers.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use super::{Caller, Docker, Embedded, Engine, EngineError, docker_addresses, podman_addresses};
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
    /// Addresses where Docker may answer, best first.
    pub docker: Vec<String>,
    /// Addresses where Podman may answer, best first.
    pub podman: Vec<String>,
    /// Folders with programs (`PATH`).
    pub path: Vec<PathBuf>,
    /// The folder that stands for `/` where CDI specifications are looked for.
    pub cdi_root: PathBuf,
}

impl Host {
    /// Reads what is there through `variable`: the environment, in the command.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text =
            |name: &str| variable(name)?.into_string().ok().filter(|value| !value.is_empty());
        let sudo = number(text("SUDO_UID")).zip(number(text("SUDO_GID")));
        Self {
            caller: Caller::current(sudo),
            docker: docker_addresses(text),
            podman: podman_addresses(text),
            path: variable("PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default(),
            cdi_root: "/".into(),
        }
    }
}

fn number(text: Option<String>) -> Option<u32> {
    u32::from_str(&text?).ok()
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

/// The engine asked for, if it answers.
pub fn select(choice: Choice, host: &Host, store: &Store) -> Result<Selection, Failure> {
    let mut passed_over = Vec::new();
    for kind in KINDS.iter().filter(|kind| choice == Choice::Auto || choice == kind.choice) {
        match (kind.connect)(host, store) {
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

const KINDS: [Kind; 3] = [
    Kind { choice: Choice::Docker, name: "docker", connect: docker },
    Kind { choice: Choice::Podman, name: "podman", connect: podman },
    Kind { choice: Choice::Embedded, name: "embedded", connect: embedded },
];

fn docker(host: &Host, store: &Store) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(Docker::connect("docker", &host.docker, host, store)?))
}

fn podman(host: &Host, store: &Store) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(Docker::connect("podman", &host.podman, host, store)?))
}

fn embedded(host: &Host, store: &Store) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(Embedded::find(host, store)?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
    fn an_empty_variable_says_nothing() {
        assert_eq!(host(&[("DOCKER_HOST", "")]).docker, ["unix:///var/run/docker.sock"]);
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
