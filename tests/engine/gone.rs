//! An engine that goes away in the middle of a run. It is cut off by a relay between ybox and it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::bench::{Bench, host, store_with_probe};
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use ybox::engine::{Choice, Container, Docker, Engine, Host, StopRequests};

const SOCKET: &str = "/var/run/docker.sock";

/// Passes everything on between a socket of its own and the engine's, until it is cut.
#[derive(Clone, Default)]
struct Relay {
    streams: Arc<Mutex<Option<Vec<UnixStream>>>>,
}

impl Relay {
    fn start(at: &Path, engine: String) -> Self {
        let relay = Self { streams: Arc::new(Mutex::new(Some(Vec::new()))) };
        let (listener, streams) = (UnixListener::bind(at).unwrap(), relay.streams.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                match streams.lock().unwrap().as_mut() {
                    Some(open) => open.extend(join(client, UnixStream::connect(&engine).unwrap())),
                    None => return,
                }
            }
        });
        relay
    }

    fn cut(&self) {
        for stream in self.streams.lock().unwrap().take().into_iter().flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn join(client: UnixStream, engine: UnixStream) -> [UnixStream; 2] {
    let clone = |stream: &UnixStream| stream.try_clone().unwrap();
    let open = [clone(&client), clone(&engine)];
    for (mut from, mut to) in [(clone(&client), clone(&engine)), (engine, client)] {
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    open
}

#[test]
fn a_run_whose_engine_goes_away_says_so() {
    let Some(bench) = Bench::new(Choice::Docker) else { return };
    let address = host().docker.remove(0);
    let Some(socket) =
        address.strip_prefix("unix://").or(address.strip_prefix(SOCKET).map(|_| SOCKET))
    else {
        println!("skipped: the engine is not at a Unix socket");
        return;
    };
    let note = format!("{:?} {}", std::time::SystemTime::now(), std::process::id());
    let (store, image) = store_with_probe(&bench.home.path().join("other"), &[&note]);
    let here = bench.home.path().join("relay.sock");
    let relay = Relay::start(&here, socket.into());
    let host = Host { docker: vec![format!("unix://{}", here.display())], ..host() };
    let engine: Box<dyn Engine> =
        ybox::engine::select(Choice::Docker, &host, &store).unwrap().engine;
    engine.prepare(&image).unwrap();
    let container = Container { image: image.clone(), ..bench.container(&["deaf"]) };
    let outcome = engine.run(&container, &StopRequests::new(0), &mut |_| relay.cut());
    remove_what_it_left(socket, &format!("ybox.image={}", image.config));
    let failure = outcome.unwrap_err();
    assert_eq!(failure.what, "the docker engine went away during the run");
    assert!(failure.hint.unwrap().contains("resumed"));
}

fn remove_what_it_left(socket: &str, label: &str) {
    let filters = [("label", vec![label])].into();
    let listing = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let force = RemoveContainerOptionsBuilder::new().force(true).build();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let api = bollard::Docker::connect_with_unix(socket, 60, bollard::API_DEFAULT_VERSION);
        let api = api.unwrap().negotiate_version().await.unwrap();
        for container in api.list_containers(Some(listing)).await.unwrap() {
            api.remove_container(&container.id.unwrap(), Some(force.clone())).await.unwrap();
        }
    });
}

#[test]
fn docker_is_not_found_where_nothing_listens() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = store_with_probe(dir.path(), &[]);
    let socket = dir.path().join("dead.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let address = format!("unix://{}", socket.display());
    let refused = Docker::connect("docker", &[address], &host(), &store).err().unwrap();
    assert!(refused.to_string().contains("refused"), "{refused}");
}
