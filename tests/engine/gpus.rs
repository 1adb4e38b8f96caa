//! GPUs in containers, with a stand-in for NVIDIA's driver: ybox itself, as the container's program,
//! asks the driver inside. The embedded runner is handed it by a CDI specification with real device
//! nodes, other engines by a mount.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use ybox::engine::{Choice, Container, Engine, Gpu, Host, Mount, Output, StopRequests};
use ybox::image::{Store, StoredImage};
use ybox::ui::Failure;

use crate::bench::{add_image, host, missing};
use crate::standin_driver::{self, StandIn, driver, gpu};

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const GPU: Gpu = Gpu { index: 0, uuid: None };

/// An engine, an image of ybox, and a driver that is stood in for.
struct Bench {
    engine: Box<dyn Engine>,
    image: StoredImage,
    driver: StandIn,
    home: TempDir,
}

impl Bench {
    /// None where the engine does not answer and does not have to. `cdi_root` is below its home.
    fn new(choice: Choice, table: &str) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let store = Store::under(home.path()).unwrap();
        let host = Host { cdi_root: home.path().join("host"), ..host() };
        let engine = match ybox::engine::select(choice, &host, &store) {
            Ok(selection) => selection.engine,
            Err(failure) => return missing(choice, &failure),
        };
        let folder = home.path().join("driver");
        fs::create_dir(&folder).unwrap();
        let driver = StandIn::new(&folder, table);
        add_image(home.path(), "ybox/asks:latest", &[layer(home.path())]);
        let image = store.find("ybox/asks").unwrap();
        engine.prepare(&image).unwrap();
        Some(Self { engine, image, driver, home })
    }

    fn container(&self, arguments: &[&str], gpus: &[Gpu]) -> Container {
        let arguments = [&["--json", "--home", "/tmp"], arguments].concat();
        Container {
            image: self.image.clone(),
            arguments: arguments.into_iter().map(str::to_owned).collect(),
            environment: Vec::new(),
            mounts: Vec::new(),
            user: self.engine.user(),
            pids_limit: 200,
            shm_size: 1 << 20,
            gpus: gpus.to_vec(),
        }
    }

    /// The same, with the driver's folder for a driver.
    fn with_driver(&self, arguments: &[&str]) -> Container {
        let environment = vec![("LD_LIBRARY_PATH".to_owned(), "/driver".to_owned())];
        let source = self.driver.folder().to_owned();
        let mounts = vec![Mount { source, target: "/driver".into(), writable: false }];
        Container { environment, mounts, ..self.container(arguments, &[]) }
    }

    fn run(&self, container: &Container) -> Result<Value, Failure> {
        let mut text = String::new();
        self.engine.run(container, &StopRequests::new(0), &mut |line| {
            let (Output::Out(line) | Output::Err(line)) = line;
            text += &(line + "\n");
        })?;
        Ok(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// Writes the CDI specification of one GPU, as NVIDIA's toolkit writes them.
    fn specification(&self) -> Value {
        let [cuda, nvml, table] = self.driver.files();
        let file = |from: &Path, to: &str| {
            let to = format!("/{LIBRARIES}/{to}");
            json!({"hostPath": from, "containerPath": to, "options": ["ro", "nosuid", "bind"]})
        };
        json!({
            "cdiVersion": "0.5.0",
            "kind": "nvidia.com/gpu",
            "devices": [{
                "name": "0",
                "containerEdits": {
                    "deviceNodes": [{"path": "/dev/nvidia0", "hostPath": "/dev/null"}],
                },
            }],
            "containerEdits": {
                "env": ["NVIDIA_VISIBLE_DEVICES=void"],
                "deviceNodes": [{"path": "/dev/nvidiactl", "hostPath": "/dev/zero"}],
                "mounts": [
                    file(&cuda, "libcuda.so.580.82.07"),
                    file(&nvml, "libnvidia-ml.so.580.82.07"),
                    file(&table, "table"),
                    {"hostPath": table, "containerPath": "/run/nvidia/a/table"},
                ],
                "hooks": [{
                    "hookName": "createContainer",
                    "path": "/usr/bin/nvidia-cdi-hook",
                    "args": ["nvidia-cdi-hook", "update-ldcache"],
                }],
            },
        })
    }

    fn write(&self, specification: &Value) {
        let folder = self.home.path().join("host/etc/cdi");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("nvidia.json"), specification.to_string()).unwrap();
    }
}

/// ybox with the libraries that it needs, and where Debian has them.
fn layer(home: &Path) -> Vec<u8> {
    let program = home.join("ybox");
    let ybox = env!("CARGO_BIN_EXE_ybox");
    let stripped = Command::new("strip").arg("-o").arg(&program).arg(ybox).status();
    assert!(stripped.unwrap().success());
    let mut tar = tar::Builder::new(Vec::new());
    for folder in ["usr", "usr/lib", LIBRARIES, "lib64", "run", "tmp"] {
        let mut header = header(tar::EntryType::Directory, 0);
        tar.append_data(&mut header, folder, std::io::empty()).unwrap();
    }
    let mut link = header(tar::EntryType::Symlink, 0);
    tar.append_link(&mut link, "lib", "usr/lib").unwrap();
    let mut add = |path: &str, from: &Path| {
        let bytes = fs::read(from).unwrap();
        let mut header = header(tar::EntryType::Regular, bytes.len() as u64);
        tar.append_data(&mut header, path, &bytes[..]).unwrap();
    };
    add("probe", &program);
    add("lib64/ld-linux-x86-64.so.2", Path::new("/lib64/ld-linux-x86-64.so.2"));
    for name in ["libc.so.6", "libm.so.6", "libgcc_s.so.1"] {
        add(
            &format!("{LIBRARIES}/{name}"),
            &PathBuf::from(format!("/lib/x86_64-linux-gnu/{name}")),
        );
    }
    tar.into_inner().unwrap()
}

fn header(kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(size);
    header
}

fn verdict(plan: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match plan["verdict"].as_str() {
        Some("planned") => format!("{} {}", text(&plan["variant"]), text(&plan["attention"])),
        _ => text(&plan["refusals"][0]["code"]),
    }
}

fn machines_are_planned_for_inside(choice: Choice) {
    let Some(bench) = Bench::new(choice, "") else { return };
    for (table, expected) in [
        (standin_driver::t4(), "cuda13 efficient"),
        (standin_driver::v100(), "cuda126 safe"),
        (standin_driver::v100_dropped(), "driver-too-new"),
        (standin_driver::a100(), "cuda13 flash"),
        (standin_driver::h100(), "cuda13 flash"),
        (standin_driver::rtx_5090(), "cuda13 flash"),
        (standin_driver::two_gpus(), "cuda13 efficient"),
        (standin_driver::two_gpus_apart(), "mixed-gpus-no-common-stack"),
        (standin_driver::old_driver(), "driver-too-old"),
        (standin_driver::failing(803), "cuda-does-not-start"),
    ] {
        bench.driver.becomes(&table);
        let plan = bench.run(&bench.with_driver(&["plan"])).unwrap();
        assert_eq!(verdict(&plan), expected, "{table}\n{plan:#}");
    }
}

#[test]
fn docker_machines_are_planned_for_inside() {
    machines_are_planned_for_inside(Choice::Docker);
}

#[test]
fn embedded_machines_are_planned_for_inside() {
    machines_are_planned_for_inside(Choice::Embedded);
}

/// A daemon without NVIDIA's toolkit, as this one is unless the machine has a GPU.
#[test]
fn docker_without_nvidia_s_toolkit_is_a_refusal_with_a_name() {
    let Some(bench) = Bench::new(Choice::Docker, "") else { return };
    if Path::new("/usr/bin/nvidia-container-runtime-hook").exists() {
        println!("skipped: this machine has NVIDIA's toolkit");
        return;
    }
    let failure = bench.run(&bench.container(&["probe"], &[GPU])).unwrap_err();
    assert!(failure.what.starts_with("container-toolkit-missing: docker has no"), "{failure}");
    assert!(failure.hint.unwrap().contains("NVIDIA Container Toolkit"));
    assert_eq!(failure.exit, 1);
}

#[test]
fn the_embedded_runner_hands_over_what_a_cdi_specification_says() {
    let table = driver("580.82.07", 13_000) + &gpu(0, "Tesla T4", "7.5", 15);
    let Some(bench) = Bench::new(Choice::Embedded, &table) else { return };
    bench.write(&bench.specification());
    let container = bench.container(&["probe"], &[GPU]);
    let facts = bench.run(&container).unwrap();
    assert_eq!(facts["gpus"][0]["name"], "Tesla T4", "{facts:#}");
    assert_eq!(facts["driver"]["version"], "580.82.07");
    let notes = bench.engine.notes(&container);
    assert!(notes[0].contains("update-ldcache (nvidia-cdi-hook)"), "{notes:?}");
    let without = bench.container(&["probe"], &[]);
    assert!(bench.engine.notes(&without).is_empty());
    assert!(bench.run(&without).unwrap()["driver"]["absent"].is_string());
}

#[test]
fn the_embedded_runner_s_devices_are_the_host_s_and_its_folders_stay_read_only() {
    let Some(bench) = Bench::new(Choice::Embedded, &standin_driver::t4()) else { return };
    bench.write(&bench.specification());
    let root = bench.home.path().join("probe.c");
    fs::write(&root, LOOKS).unwrap();
    let program = bench.home.path().join("looks");
    let built = Command::new("cc").args(["-static", "-o"]).arg(&program).arg(&root).status();
    assert!(built.unwrap().success());
    let mut container = bench.container(&[], &[GPU]);
    container.arguments.clear();
    // In the place of the image's program.
    container.mounts = vec![Mount { source: program, target: "/probe".into(), writable: false }];
    let seen = bench.run(&container).unwrap();
    assert_eq!(seen["nvidia0"], libc::makedev(1, 3), "the host's /dev/null");
    assert_eq!(seen["nvidiactl"], libc::makedev(1, 5), "the host's /dev/zero");
    assert_eq!(seen["write"], libc::EROFS);
    assert_eq!(seen["table"], 1);
    assert_eq!(seen["environment"], 1);
}

const LOOKS: &str = r#"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned long device(const char *path) {
    struct stat s;
    int file = open(path, O_RDWR);
    return file < 0 || fstat(file, &s) ? 0 : s.st_rdev;
}

int main(void) {
    const char *visible = getenv("NVIDIA_VISIBLE_DEVICES");
    int made = open("/usr/lib/x86_64-linux-gnu/new", O_CREAT | O_WRONLY, 0644);
    printf("{\"nvidia0\": %lu, \"nvidiactl\": %lu, \"write\": %d, \"table\": %d, \"environment\": %d}\n",
           device("/dev/nvidia0"), device("/dev/nvidiactl"), made < 0 ? errno : 0,
           !access("/run/nvidia/a/table", R_OK), visible && !strcmp(visible, "void"));
    return 0;
}
"#;

#[test]
fn the_embedded_runner_refuses_what_no_specification_covers() {
    let Some(bench) = Bench::new(Choice::Embedded, "") else { return };
    let refused = |gpu: Gpu| bench.run(&bench.container(&["probe"], &[gpu])).unwrap_err().what;
    assert!(refused(GPU).starts_with("no-cdi-spec: "));
    let mut specification = bench.specification();
    bench.write(&specification);
    let other = refused(Gpu { index: 1, uuid: Some("GPU-1".into()) });
    let expected = "device-not-in-spec: no CDI specification has nvidia.com/gpu=1; there are \
                    nvidia.com/gpu=0";
    assert_eq!(other, expected);
    let gone = "/usr/lib/libcuda.so.570.26";
    specification["containerEdits"]["mounts"][0]["hostPath"] = json!(gone);
    bench.write(&specification);
    let stale = refused(GPU);
    assert!(stale.starts_with("cdi-spec-stale: ") && stale.contains(gone), "{stale}");
}
