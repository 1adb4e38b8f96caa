//! The runner that needs no daemon: the unpacked image under bubblewrap, with the same mounts and
//! limits as in Docker.

mod arguments;
mod attend;
mod bubblewrap;
mod guard;
mod limits;
mod namespace;
mod process;

use std::path::PathBuf;

use serde_json::{Map, json};

use self::bubblewrap::Bubblewrap;
use self::limits::PidsLimit;
use super::{
    Caller, Container, ContainerUser, Ended, Engine, EngineError, EngineInfo, IdMapping, Ids,
    Output, StopRequests, container_user, ownership,
};
use crate::image::{Store, StoredImage};
use crate::ui::Failure;

/// Bubblewrap, tried out.
pub struct Embedded {
    bubblewrap: Bubblewrap,
    pids_limit: PidsLimit,
    caller: Caller,
    store: Store,
}

impl Embedded {
    /// Looks for bubblewrap in the folders of `path`, and tries whether it can make namespaces.
    pub fn find(path: &[PathBuf], caller: Caller, store: &Store) -> Result<Self, EngineError> {
        let bubblewrap = Bubblewrap::find(path)?;
        bubblewrap.try_out(&caller)?;
        let pids_limit = PidsLimit::available();
        Ok(Self { bubblewrap, pids_limit, caller, store: store.clone() })
    }

    fn container_user(&self) -> ContainerUser {
        container_user(&self.caller, IdMapping::Same)
    }
}

impl Engine for Embedded {
    fn info(&self) -> EngineInfo {
        let mut details = Map::new();
        details.insert("pids_limit".into(), json!(self.pids_limit.name()));
        details.insert("tmpfs_limit".into(), json!(self.bubblewrap.features.size));
        details.insert("seccomp".into(), json!(null));
        let nested = !(self.caller.is_root() || self.bubblewrap.features.disable_userns);
        details.insert("nested_user_namespaces".into(), json!(nested));
        EngineInfo {
            kind: "embedded".into(),
            version: format!("bubblewrap {}", self.bubblewrap.version),
            details,
        }
    }

    fn user(&self) -> Ids {
        self.container_user().ids
    }

    fn prepare(&self, image: &StoredImage) -> Result<(), Failure> {
        self.store.unpack(image)?;
        Ok(())
    }

    fn run(
        &self,
        container: &Container,
        stop: &StopRequests,
        output: &mut dyn FnMut(Output),
    ) -> Result<Ended, Failure> {
        let root = self.store.unpack(&container.image)?.root;
        let config = self.store.config(&container.image)?;
        let arguments = arguments::arguments(container, &root, &config, &self.bubblewrap.features)?;
        let lent = ownership::lend(&container.mounts, self.container_user().hand_over)?;
        let ended = process::start(self, container, arguments)
            .and_then(|process| attend::attend(process, stop, output));
        lent.give_back()?;
        Ok(ended?)
    }
}
