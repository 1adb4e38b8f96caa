//! A container's life: created hardened, attached to before it starts, removed whatever happens.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerState, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount as Bind, MountType,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, KillContainerOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use futures_util::StreamExt;

use super::{Docker, gpus};
use crate::engine::lines::Lines;
use crate::engine::{
    Container, Ended, EngineError, HOST_NAME, Mount, Output, StopRequests, TMP_SIZE, ownership,
};
use crate::ui::Failure;

/// How often requests to stop are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How many ticks a container may be in a state that can't be read.
const TICKS_BETWEEN_STATES: u32 = 100;

impl Docker {
    pub(super) fn run_container(
        &self,
        container: &Container,
        stop: &StopRequests,
        output: &mut dyn FnMut(Output),
    ) -> Result<Ended, Failure> {
        let image = self.loaded_id(&container.image)?.ok_or_else(|| EngineError::NotLoaded {
            engine: self.facts.kind,
            reference: container.image.reference.clone(),
        })?;
        let lent = ownership::lend(&container.mounts, self.container_user().hand_over)?;
        let ended = self
            .create(container, image)
            .and_then(|created| self.runtime.block_on(self.attend(&created.id, stop, output)))
            .map_err(|error| self.explained(error, container));
        lent.give_back()?;
        Ok(ended?)
    }

    fn create(&self, container: &Container, image: String) -> Result<Created<'_>, EngineError> {
        let body = self.body(container, image)?;
        let created =
            self.runtime.block_on(self.api.create_container(None::<CreateContainerOptions>, body));
        let id = created.map_err(self.refused("create a container"))?.id;
        Ok(Created { engine: self, id })
    }

    /// A refusal for the sake of GPUs has a better name than the engine's.
    fn explained(&self, error: EngineError, container: &Container) -> EngineError {
        match &error {
            EngineError::Refused { source, .. } if !container.gpus.is_empty() => {
                gpus::explain(source, &self.facts).map_or(error, EngineError::Gpu)
            }
            _ => error,
        }
    }

    fn body(
        &self,
        container: &Container,
        image: String,
    ) -> Result<ContainerCreateBody, EngineError> {
        Ok(ContainerCreateBody {
            image: Some(image),
            hostname: Some(HOST_NAME.into()),
            user: Some(format!("{}:{}", container.user.0, container.user.1)),
            env: Some(container.environment.iter().map(|(k, v)| format!("{k}={v}")).collect()),
            cmd: Some(container.arguments.clone()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            healthcheck: Some(HealthConfig {
                test: Some(vec!["NONE".into()]),
                ..Default::default()
            }),
            labels: Some([("ybox.image".into(), container.image.config.to_string())].into()),
            host_config: Some(self.host_config(container)?),
            ..Default::default()
        })
    }

    fn host_config(&self, container: &Container) -> Result<HostConfig, EngineError> {
        Ok(HostConfig {
            network_mode: Some("none".into()),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".into()]),
            security_opt: Some(self.security_options(container)),
            device_requests: gpus::requests(&container.gpus, &self.facts)?,
            privileged: Some(false),
            init: Some(false),
            pids_limit: Some(container.pids_limit.into()),
            shm_size: i64::try_from(container.shm_size).ok(),
            tmpfs: Some([("/tmp".into(), tmpfs_options())].into()),
            mounts: Some(container.mounts.iter().map(bind).collect()),
            userns_mode: self.user_namespace(),
            // What is written is read through the attached stream; a copy on disk is no use.
            log_config: Some(HostConfigLogConfig {
                typ: Some("none".into()),
                ..Default::default()
            }),
            ..Default::default()
        })
    }

    /// SELinux keeps a container of Podman's from devices that CDI hands it.
    fn security_options(&self, container: &Container) -> Vec<String> {
        let mut options = vec!["no-new-privileges".to_owned()];
        if self.facts.kind == "podman" && !container.gpus.is_empty() {
            options.push("label=disable".into());
        }
        options
    }

    fn user_namespace(&self) -> Option<String> {
        match self.facts.kind {
            "podman" if self.facts.rootless => Some("keep-id".into()),
            "docker" if self.facts.remaps_users => Some("host".into()),
            _ => None,
        }
    }

    /// Starts the container and stays with it to its end.
    async fn attend(
        &self,
        id: &str,
        stop: &StopRequests,
        output: &mut dyn FnMut(Output),
    ) -> Result<Ended, EngineError> {
        let options =
            AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true).build();
        let attached = self.api.attach_container(id, Some(options)).await;
        let mut stream = attached.map_err(self.refused("attach to the container"))?.output;
        let started = self.api.start_container(id, None).await;
        started.map_err(self.refused("start the container"))?;

        let mut streams = Streams::default();
        let mut stopping = Stopping { engine: self, id, stop, done: 0 };
        let mut tick = tokio::time::interval(TICK);
        let mut patience = TICKS_BETWEEN_STATES;
        loop {
            tokio::select! {
                chunk = stream.next() => match chunk {
                    Some(Ok(chunk)) => streams.push(chunk, output),
                    // The container's state, asked for next, tells its end from the engine's.
                    Some(Err(_)) | None => break,
                },
                _ = tick.tick() => stopping.look().await?,
            }
        }
        streams.finish(output);
        loop {
            if let Some(ended) = self.ended(id, &mut patience).await? {
                return Ok(ended);
            }
            stopping.look().await?;
            tick.tick().await;
        }
    }

    /// How the container ended, once it has.
    async fn ended(&self, id: &str, patience: &mut u32) -> Result<Option<Ended>, EngineError> {
        match self.api.inspect_container(id, None).await {
            Ok(inspected) => Ok(inspected.state.filter(|s| s.running != Some(true)).map(ended)),
            // Podman has states between running and ended of which Docker's API doesn't know.
            Err(Error::JsonDataError { .. }) if *patience > 0 => {
                *patience -= 1;
                Ok(None)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, source: Error) -> EngineError {
        match source {
            Error::DockerResponseServerError { .. } | Error::JsonDataError { .. } => {
                self.refused("follow the container")(source)
            }
            _ => EngineError::WentAway { engine: self.facts.kind, source: Box::new(source) },
        }
    }
}

/// A container that is removed, and killed if it still runs, when this is dropped.
struct Created<'a> {
    engine: &'a Docker,
    id: String,
}

impl Drop for Created<'_> {
    fn drop(&mut self) {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        // Failing that, the engine is gone, which the run's outcome says already.
        let _ =
            self.engine.runtime.block_on(self.engine.api.remove_container(&self.id, Some(options)));
    }
}

/// Passes requests to stop on to the container, each once.
struct Stopping<'a> {
    engine: &'a Docker,
    id: &'a str,
    stop: &'a StopRequests,
    done: u8,
}

impl Stopping<'_> {
    async fn look(&mut self) -> Result<(), EngineError> {
        let asked = self.stop.load(Ordering::Relaxed).min(2);
        if asked > self.done {
            self.done = asked;
            let signal = if asked == 1 { "SIGINT" } else { "SIGKILL" };
            let options = KillContainerOptionsBuilder::new().signal(signal).build();
            match self.engine.api.kill_container(self.id, Some(options)).await {
                // 409 and 404: it has just ended by itself.
                Err(Error::DockerResponseServerError { status_code: 409 | 404, .. }) | Ok(()) => {}
                Err(error) => return Err(self.engine.failed(error)),
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Streams {
    out: Lines,
    err: Lines,
}

impl Streams {
    fn push(&mut self, chunk: LogOutput, output: &mut dyn FnMut(Output)) {
        match chunk {
            LogOutput::StdErr { message } => {
                self.err.push(&message, &mut |line| output(Output::Err(line)));
            }
            LogOutput::StdOut { message }
            | LogOutput::StdIn { message }
            | LogOutput::Console { message } => {
                self.out.push(&message, &mut |line| output(Output::Out(line)));
            }
        }
    }

    fn finish(&mut self, output: &mut dyn FnMut(Output)) {
        self.out.finish(&mut |line| output(Output::Out(line)));
        self.err.finish(&mut |line| output(Output::Err(line)));
    }
}

fn bind(mount: &Mount) -> Bind {
    Bind {
        typ: Some(MountType::BIND),
        source: Some(mount.source.to_string_lossy().into_owned()),
        target: Some(mount.target.clone()),
        read_only: Some(!mount.writable),
        ..Default::default()
    }
}

fn tmpfs_options() -> String {
    format!("rw,exec,nosuid,nodev,mode=1777,size={TMP_SIZE}")
}

fn ended(state: ContainerState) -> Ended {
    let code = state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1);
    Ended { code, out_of_memory: state.oom_killed == Some(true) }
}
