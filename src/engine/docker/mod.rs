//! Docker, and Podman through the API that it shares with Docker.

mod connect;
mod gpus;
mod load;
mod run;

use bollard::errors::Error;
use tokio::runtime::Runtime;

use self::connect::Facts;
use super::{
    Caller, Container, ContainerUser, Ended, Engine, EngineError, EngineInfo, IdMapping, Ids,
    Output, StopRequests, container_user,
};
use crate::image::{Store, StoredImage};
use crate::ui::Failure;

/// A connected engine. It has a runtime of its own, so it must not be used from asynchronous code.
pub struct Docker {
    runtime: Runtime,
    api: bollard::Docker,
    facts: Facts,
    caller: Caller,
    store: Store,
}

impl Docker {
    /// How this engine's user ids relate to the host's.
    fn mapping(&self) -> IdMapping {
        match self.facts.rootless && self.facts.kind == "docker" {
            true => IdMapping::CallerIsZero,
            false => IdMapping::Same,
        }
    }

    fn container_user(&self) -> ContainerUser {
        container_user(&self.caller, self.mapping())
    }

    fn refused(&self, action: impl Into<String>) -> impl FnOnce(Error) -> EngineError {
        let (engine, action) = (self.facts.kind, action.into());
        move |source| EngineError::Refused { engine, action, source: Box::new(source) }
    }
}

impl Engine for Docker {
    fn info(&self) -> EngineInfo {
        self.facts.info()
    }

    fn user(&self) -> Ids {
        self.container_user().ids
    }

    fn prepare(&self, image: &StoredImage) -> Result<(), Failure> {
        self.load(image)
    }

    fn run(
        &self,
        container: &Container,
        stop: &StopRequests,
        output: &mut dyn FnMut(Output),
    ) -> Result<Ended, Failure> {
        self.run_container(container, stop, output)
    }
}

fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}
