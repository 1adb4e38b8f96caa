//! Container engines that answer on their API sockets. Which of the two a socket leads to is told by
//! the engine itself, since Podman also serves Docker's socket.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{SystemInfo, SystemVersion};

use super::facts::{Engine, Fact};
use crate::engine::is_podman;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Docker,
    Podman,
}

/// A place where an engine may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `unix:///path`, `tcp://host:port` or `http://host:port`.
    pub url: String,
    /// Which engine is expected there.
    pub kind: Kind,
}

impl Endpoint {
    fn socket(&self) -> Option<&Path> {
        self.url.strip_prefix("unix://").map(Path::new)
    }
}

type Answer = Result<(Kind, Engine), NoAnswer>;

enum NoAnswer {
    Nobody(String),
    Unclear(String),
}

/// Docker and Podman, each from the first of `endpoints` where it answers.
pub async fn engines(endpoints: &[Endpoint], patience: Duration) -> (Fact<Engine>, Fact<Engine>) {
    let answers = endpoints.iter().map(|endpoint| async move {
        let answer = tokio::time::timeout(patience, ask(endpoint)).await.unwrap_or_else(|_| {
            let limit = patience.as_secs_f32();
            Err(NoAnswer::Unclear(format!("{} did not answer within {limit} s", endpoint.url)))
        });
        (endpoint.kind, answer)
    });
    let answers = futures_util::future::join_all(answers).await;
    (of_kind(Kind::Docker, &answers), of_kind(Kind::Podman, &answers))
}

fn of_kind(kind: Kind, answers: &[(Kind, Answer)]) -> Fact<Engine> {
    let found = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    if let Some((_, engine)) = found.clone().find(|(k, _)| *k == kind) {
        return Fact::Is(engine.clone());
    }
    let failures =
        || answers.iter().filter(|(k, _)| *k == kind).filter_map(|(_, a)| a.as_ref().err());
    let unclear = failures().find_map(|failure| match failure {
        NoAnswer::Unclear(reason) => Some(reason),
        NoAnswer::Nobody(_) => None,
    });
    let nobody: Vec<_> = failures()
        .filter_map(|failure| match failure {
            NoAnswer::Nobody(reason) => Some(reason.as_str()),
            NoAnswer::Unclear(_) => None,
        })
        .collect();
    match unclear {
        Some(reason) => Fact::unknown(reason),
        None if nobody.is_empty() => Fact::absent("no other engine answers"),
        None => Fact::absent(nobody.join("; ")),
    }
}

async fn ask(endpoint: &Endpoint) -> Answer {
    if let Some(socket) = endpoint.socket().filter(|socket| !socket.exists()) {
        return Err(NoAnswer::Nobody(format!("no socket {}", socket.display())));
    }
    let failed = |error: bollard::errors::Error| no_answer(&endpoint.url, &error);
    let docker =
        connect(&endpoint.url).map_err(failed)?.negotiate_version().await.map_err(failed)?;
    let (version, info) = tokio::join!(docker.version(), docker.info());
    let (version, info) = (version.map_err(failed)?, info.map_err(failed)?);
    let kind = if is_podman(&version) { Kind::Podman } else { Kind::Docker };
    Ok((kind, engine(endpoint, kind, version, info)))
}

fn connect(url: &str) -> Result<Docker, bollard::errors::Error> {
    // The outer time limit is the shorter one; this one bounds what it leaves behind.
    Docker::connect_with_host(url).map(|docker| docker.with_timeout(Duration::from_secs(10)))
}

/// A socket that refuses connections has no engine behind it; any other error leaves it open.
fn no_answer(url: &str, error: &(dyn std::error::Error + 'static)) -> NoAnswer {
    let chain: Vec<_> = std::iter::successors(Some(error), |error| error.source()).collect();
    let io = chain.iter().find_map(|error| error.downcast_ref::<std::io::Error>());
    match io.map(std::io::Error::kind) {
        Some(ErrorKind::ConnectionRefused | ErrorKind::NotFound) => {
            NoAnswer::Nobody(format!("nobody answers at {url}"))
        }
        _ => {
            let innermost = chain.last().map(ToString::to_string).unwrap_or_default();
            NoAnswer::Unclear(format!("{url}: {innermost}"))
        }
    }
}

fn engine(endpoint: &Endpoint, kind: Kind, version: SystemVersion, info: SystemInfo) -> Engine {
    let unsaid = || Fact::unknown("the engine didn't say");
    let text = |value: Option<String>| value.map_or_else(unsaid, Fact::Is);
    let devices = info.discovered_devices.into_iter().flatten();
    Engine {
        cgroup_driver: info.cgroup_driver.map(|driver| driver.to_string()),
        version: version.version.or(info.server_version).unwrap_or_else(|| "unknown".into()),
        api: version.api_version.map_or_else(unsaid, Fact::Is),
        endpoint: endpoint.url.clone(),
        storage_driver: text(info.driver),
        rootless: rootless(endpoint, kind, info.security_options),
        nvidia_runtime: info.runtimes.map_or_else(
            || Fact::unknown("the engine didn't say"),
            |runtimes| Fact::Is(runtimes.contains_key("nvidia")),
        ),
        cdi_devices: devices
            .filter(|device| device.source.as_deref() == Some("cdi"))
            .filter_map(|device| device.id)
            .collect(),
    }
}

/// Docker says so among its security options. Podman's Docker API doesn't, but its service runs as
/// the owner of its socket.
fn rootless(endpoint: &Endpoint, kind: Kind, options: Option<Vec<String>>) -> Fact<bool> {
    let named =
        |options: &[String]| options.iter().any(|o| o.split(',').any(|p| p == "name=rootless"));
    match (kind, options, endpoint.socket().and_then(|socket| std::fs::metadata(socket).ok())) {
        (_, Some(options), _) if named(&options) => Fact::Is(true),
        (Kind::Docker, Some(_), _) => Fact::Is(false),
        (Kind::Podman, _, Some(socket)) => Fact::Is(socket.uid() != 0),
        _ => Fact::unknown("the engine didn't say"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Serves each path's body until the test ends.
    fn serve(listener: UnixListener, bodies: &'static [(&'static str, &'static str)]) {
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let read = stream.read(&mut request).await.unwrap_or(0);
                    let line = String::from_utf8_lossy(&request[..read]);
                    let path = line.split_whitespace().nth(1).unwrap_or("").to_owned();
                    let body = bodies.iter().find(|(p, _)| path.ends_with(p)).map_or("{}", |b| b.1);
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
                    let tail = format!("Content-Length: {}\r\n\r\n{body}", body.len());
                    let _ = stream.write_all(format!("{head}{tail}").as_bytes()).await;
                });
            }
        });
    }

    fn endpoint(folder: &Path, name: &str, kind: Kind) -> Endpoint {
        Endpoint { url: format!("unix://{}", folder.join(name).display()), kind }
    }

    #[tokio::test]
    async fn reads_docker_s_answer() {
        let folder = tempfile::tempdir().unwrap();
        let here = endpoint(folder.path(), "docker.sock", Kind::Docker);
        serve(
            UnixListener::bind(here.socket().unwrap()).unwrap(),
            &[
                (
                    "/version",
                    r#"{"Version":"28.2.2","ApiVersion":"1.50","Components":[{"Name":"Engine","Version":"28.2.2"}]}"#,
                ),
                (
                    "/info",
                    r#"{"Driver":"overlay2","SecurityOptions":["name=seccomp,profile=builtin","name=rootless"],
                  "Runtimes":{"runc":{"path":"runc"},"nvidia":{"path":"nvidia-container-runtime"}},
                  "DiscoveredDevices":[{"Source":"cdi","ID":"nvidia.com/gpu=0"}]}"#,
                ),
            ],
        );
        let (docker, podman) = engines(&[here], PATIENCE).await;
        let docker = docker.known().unwrap();
        assert_eq!((docker.version.as_str(), &docker.api), ("28.2.2", &Fact::Is("1.50".into())));
        assert_eq!(docker.storage_driver, Fact::Is("overlay2".into()));
        assert_eq!((&docker.rootless, &docker.nvidia_runtime), (&Fact::Is(true), &Fact::Is(true)));
        assert_eq!(docker.cdi_devices, ["nvidia.com/gpu=0"]);
        assert!(matches!(podman, Fact::Absent { .. }));
    }

    #[tokio::test]
    async fn podman_on_docker_s_socket_is_podman() {
        let folder = tempfile::tempdir().unwrap();
        let here = endpoint(folder.path(), "docker.sock", Kind::Docker);
        serve(
            UnixListener::bind(here.socket().unwrap()).unwrap(),
            &[
                (
                    "/version",
                    r#"{"Version":"5.4.2","ApiVersion":"1.41","Components":[{"Name":"Podman Engine","Version":"5.4.2"}]}"#,
                ),
                ("/info", r#"{"Driver":"overlay"}"#),
            ],
        );
        let (docker, podman) = engines(&[here], PATIENCE).await;
        assert!(matches!(docker, Fact::Absent { .. }));
        assert_eq!(podman.known().unwrap().version, "5.4.2");
        let owner = std::fs::metadata(folder.path()).unwrap().uid();
        assert_eq!(podman.known().unwrap().rootless, Fact::Is(owner != 0));
    }

    #[tokio::test]
    async fn nobody_and_silence_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let missing = endpoint(folder.path(), "missing.sock", Kind::Docker);
        let stale = endpoint(folder.path(), "stale.sock", Kind::Docker);
        drop(UnixListener::bind(stale.socket().unwrap()).unwrap());
        let (docker, _) = engines(&[missing, stale], PATIENCE).await;
        assert!(matches!(docker, Fact::Absent { .. }), "{docker:?}");
        assert!(docker.reason().contains("no socket"), "{docker:?}");
        assert!(docker.reason().contains("nobody answers"), "{docker:?}");

        let silent = endpoint(folder.path(), "silent.sock", Kind::Podman);
        let _held = UnixListener::bind(silent.socket().unwrap()).unwrap();
        let (_, podman) = engines(&[silent], Duration::from_millis(200)).await;
        assert!(matches!(podman, Fact::Unknown { .. }), "{podman:?}");
        assert!(podman.reason().contains("did not answer"), "{podman:?}");
    }
}
