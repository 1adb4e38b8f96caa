//! Running a container of a stored image: one small trait, and an implementation for Docker and
//! Podman (through their API) and one that needs no daemon. What to run and what its outcome means
//! is the caller's business.

mod addresses;
mod docker;
mod embedded;
mod error;
mod gpu;
mod lines;
mod ownership;
mod select;
mod user;

pub use addresses::{docker as docker_addresses, is_podman, podman as podman_addresses};
pub use docker::Docker;
pub use embedded::Embedded;
pub use error::EngineError;
pub use gpu::Gpu;
pub use select::{Choice, Host, PassedOver, Selection, select};
pub use user::{Caller, ContainerUser, HandOver, IdMapping, Ids, container_user};

use std::path::PathBuf;
use std::sync::atomic::AtomicU8;

use serde::Serialize;

use crate::image::StoredImage;
use crate::ui::Failure;

/// A container to run: everything that is not said here is the hardened default (no network, no
/// capabilities, no new privileges, read-only root, tmpfs on /tmp).
#[derive(Debug, Clone)]
pub struct Container {
    pub image: StoredImage,
    /// Arguments to the image's entry point.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub mounts: Vec<Mount>,
    /// User and group inside.
    pub user: Ids,
    pub pids_limit: u32,
    /// Bytes of /dev/shm.
    pub shm_size: u64,
    /// GPUs inside, and none else.
    pub gpus: Vec<Gpu>,
}

/// A folder or file of the host inside the container.
#[derive(Debug, Clone)]
pub struct Mount {
    pub source: PathBuf,
    pub target: String,
    pub writable: bool,
}

/// Which engine ran a container, for the record.
#[derive(Debug, Clone, Serialize)]
pub struct EngineInfo {
    /// `docker`, `podman` or `embedded`.
    pub kind: String,
    pub version: String,
    /// How the container's user relates to the caller, storage driver, and the like.
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// One line that a container wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Out(String),
    Err(String),
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Exit status; 128 + signal where a signal ended it.
    pub code: i32,
    /// Whether the kernel's out-of-memory killer ended it, where the engine can tell.
    pub out_of_memory: bool,
}

/// Bytes of the tmpfs on /tmp.
const TMP_SIZE: u64 = 1 << 30;

/// Host name inside.
const HOST_NAME: &str = "ybox";

/// How often the user asked to stop: at 1 the container is sent SIGINT, at 2 it is killed.
pub type StopRequests = AtomicU8;

pub trait Engine {
    fn info(&self) -> EngineInfo;

    /// User and group that a container of this caller is to run as: what belongs in
    /// [`Container::user`].
    fn user(&self) -> Ids;

    /// Makes the stored image runnable here: loads it, or unpacks it. Quick when it already is.
    fn prepare(&self, image: &StoredImage) -> Result<(), Failure>;

    /// What to tell of a container that is about to run.
    fn notes(&self, _container: &Container) -> Vec<String> {
        Vec::new()
    }

    /// Runs the container to its end, handing over each line as it is written.
    fn run(
        &self,
        container: &Container,
        stop: &StopRequests,
        output: &mut dyn FnMut(Output),
    ) -> Result<Ended, Failure>;
}
