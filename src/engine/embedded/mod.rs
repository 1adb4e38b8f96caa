//! The runner that needs no daemon: the unpacked image under bubblewrap, with the same mounts and
//! limits as in Docker.

mod arguments;
mod attend;
mod bubblewrap;
mod gpus;
mod guard;
mod limits;
mod namespace;
mod openings;
mod process;

use std::path::PathBuf;

use serde_json::{Map, json};

use self::bubblewrap::Bubblewrap;
use self::limits::PidsLimit;
use super::{
    Caller, Container, ContainerUser, Ended, Engine, EngineError, EngineInfo, Host, IdMapping, Ids,
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
    /// Stands for `/` where CDI specifications are looked for.
    cdi_root: PathBuf,
}

impl Embedded {
    /// Looks for bubblewrap on the host's search path, and tries whether it can make namespaces.
    pub fn find(host: &Host, store: &Store) -> Result<Self, EngineError> {
        let caller = host.caller;
        let bubblewrap = Bubblewrap::find(&host.path)?;
        bubblewrap.try_out(&caller)?;
        let pids_limit = PidsLimit::available();
        let (store, cdi_root) = (store.clone(), host.cdi_root.clone());
        Ok(Self { bubblewrap, pids_limit, caller, store, cdi_root })
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

    fn notes(&self, container: &Container) -> Vec<String> {
        gpus::notes(container, &self.cdi_root)
    }

    fn run(
        &self,
        container: &Container,
        stop: &StopRequests,
        output: &mut dyn FnMut(Output),
    ) -> Result<Ended, Failure> {
        let root = self.store.unpack(&container.image)?.root;
        let config = self.store.config(&container.image)?;
        let gpus = gpus::hand_over(container, &self.cdi_root)?;
        let features = &self.bubblewrap.features;
        let arguments = arguments::arguments(container, &root, &config, features, gpus)?;
        let lent = ownership::lend(&container.mounts, self.container_user().hand_over)?;
        let ended = process::start(self, container, arguments)
            .and_then(|process| attend::attend(process, stop, output));
        lent.give_back()?;
        Ok(ended?)
    }
}
