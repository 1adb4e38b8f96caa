//! A place to run in without libtorch or a container: a small data set, a stored image with
//! presets, and an engine whose "container" is a stand-in for the trainer. It follows the contract
//! to the letter (arguments, files, events) and makes its numbers up, from its inputs alone.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use ybox::diff;
use ybox::engine::{Container, Ended, Engine, EngineInfo, Output, StopRequests};
use ybox::image::{Store, StoredImage};
use ybox::plan::{self, Tables};
use ybox::record::find_folder;
use ybox::record::verify::{Report, Subject, verify};
use ybox::replay::{self, Extent, Verdict};
use ybox::run::{self, Asked, Finished, Order, Request, Settled, Surroundings};
use ybox::ui::{Failure, RunView, Screen};
use ybox_spec::Digest;
use ybox_spec::batch::BatchPlan;
use ybox_spec::chain::{ChainHead, Step};
use ybox_spec::config::{Config, Task};
use ybox_spec::events::{
    ClassMetrics, Epoch, Event, EventLog, Images, Losses, Metrics, OUT_OF_MEMORY, Progress,
};
use ybox_spec::manifest::Manifest;
use ybox_spec::weights::{METADATA_KEY, WeightsInfo};

pub const NAMES: [&str; 3] = ["WBC", "RBC", "Platelets"];

/// A working directory with a data set `data/`, and a home with an image.
pub struct Place {
    pub root: PathBuf,
    /// What is removed in the end, unless the place was asked for by its path.
    pub dir: Option<tempfile::TempDir>,
    pub stand_in: StandIn,
    /// Facts about the host, for the record.
    pub host: Value,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut place = Self::at(dir.path());
        data_set(&place.work().join("data"));
        place.dir = Some(dir);
        place
    }

    /// Without a data set, in a folder that stays.
    pub fn at(root: &Path) -> Self {
        let root = fs::canonicalize(root).unwrap();
        image(&root.join("home"), "ybox/cpu:latest", "epochs: 600\nscale: 0.5\n");
        let host = json!({"cpu": "a stand-in"});
        Self { root, dir: None, stand_in: StandIn::default(), host }
    }

    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    pub fn store(&self) -> Store {
        Store::under(&self.home()).unwrap()
    }

    /// Runs with a silent screen.
    pub fn run(&self, task: Task, arguments: &[&str]) -> Result<Finished, Failure> {
        self.run_in_view(task, arguments, &mut RunView::talking(Screen::silent()))
    }

    /// Runs; also returns what a pipe on standard error would have got.
    pub fn run_talking(
        &self,
        task: Task,
        arguments: &[&str],
    ) -> (Result<Finished, Failure>, String) {
        let talk = Shared::default();
        let mut view = RunView::talking(Screen::plain(Box::new(talk.clone())));
        let result = self.run_in_view(task, arguments, &mut view);
        (result, talk.text())
    }

    pub fn run_in_view(
        &self,
        task: Task,
        arguments: &[&str],
        view: &mut RunView,
    ) -> Result<Finished, Failure> {
        let request = Request {
            task,
            arguments: arguments.iter().map(|a| a.to_string()).collect(),
            image: None,
            directory: self.work(),
        };
        self.carry_out(&run::resolve(&request, &self.store(), &settle)?, view)
    }

    pub fn carry_out(&self, order: &Order, view: &mut RunView) -> Result<Finished, Failure> {
        let with = Surroundings {
            engine: &self.stand_in,
            home: &self.home(),
            host: self.host.clone(),
            stop: &self.stand_in.stop,
            listen: &|| (),
        };
        run::execute(order, &with, view)
    }

    /// Replays `runs/train/exp`.
    pub fn replay(
        &self,
        changes: &[&str],
        extent: Extent,
        from_checkpoint: bool,
    ) -> Result<Verdict, Failure> {
        let request = replay::Request {
            changes: changes.iter().map(|change| change.to_string()).collect(),
            extent,
            from_checkpoint,
            directory: self.work(),
        };
        let recorded = replay::read(&find_folder(&self.work(), "runs/train/exp")?)?;
        let replay = replay::order(recorded, &request, &self.store(), &settle)?;
        let mut view = RunView::talking(Screen::silent());
        let finished = self.carry_out(&replay.order, &mut view)?;
        let (directory, home) = (self.work(), self.home());
        let with = diff::Surroundings { directory: &directory, home: &home, project: None };
        replay::compare(&replay, &finished.folder, &with)
    }

    /// Runs the real command.
    pub fn ybox(&self, arguments: &[&str]) -> std::process::Output {
        assert_cmd::Command::cargo_bin("ybox")
            .unwrap()
            .current_dir(self.work())
            .env_remove("YBOX_PROJECT")
            .env("YBOX_HOME", self.home())
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Exit status, standard output and standard error of the command, as a person would read them.
    pub fn told(&self, arguments: &[&str]) -> String {
        let output = self.ybox(arguments);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        format!(
            "$ ybox {}\n{}{}exit {}\n\n",
            arguments.join(" "),
            text(&output.stdout),
            text(&output.stderr),
            output.status.code().unwrap()
        )
    }

    /// A short training on the data set.
    pub fn train(&self) -> Finished {
        self.run(Task::Train, &["data=data/data.yaml", "epochs=2", "imgsz=320"]).unwrap()
    }

    pub fn verify(&self, folder: &Path) -> Report {
        self.verify_as(Subject {
            folder: folder.to_owned(),
            expected: None,
            data: None,
            deep: false,
            policy: None,
        })
    }

    pub fn verify_as(&self, subject: Subject) -> Report {
        verify(&subject, &self.store(), &self.home(), &|_, _| ())
    }
}

/// By the plan for a machine without GPUs.
fn settle(asked: &Asked) -> Result<Settled, Failure> {
    run::settle(&plan::pretend("cpu", &Tables::built_in()).unwrap(), asked)
}

/// All files below `folder`, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// Two train and one val picture; one without a label file.
pub fn data_set(root: &Path) {
    for (path, content) in [
        ("images/train/1.jpg", "picture 1"),
        ("images/train/2.jpg", "picture 2"),
        ("images/val/3.jpg", "picture 3"),
        ("labels/train/1.txt", "0 0.5 0.5 0.2 0.2\n"),
        ("labels/val/3.txt", "1 0.5 0.5 0.2 0.2\n2 0.1 0.1 0.1 0.1\n"),
        (
            "data.yaml",
            "path: .\ntrain: images/train\nval: images/val\nnames: [WBC, RBC, Platelets]\n",
        ),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Writes an image of one layer, which holds the presets, into the store under `home`.
pub fn image(home: &Path, name: &str, preset: &str) -> StoredImage {
    let presets = ["yolov12n", "yolov12s"].map(|model| {
        let path = format!("opt/ybox/configs/{model}.yaml");
        (path, format!("model: {model}\n{preset}"))
    });
    layered_image(home, name, &[tar(&presets)], &json!({}))
}

/// Writes an image of these layers into the store under `home`, beside those that have other names.
pub fn layered_image(home: &Path, name: &str, layers: &[Vec<u8>], labels: &Value) -> StoredImage {
    let blobs = home.join("store/blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
        digest
    };
    let digests: Vec<_> = layers.iter().map(|layer| put(layer)).collect();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/opt/ybox/bin/ytrain"], "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": digests},
    });
    let config_bytes = config.to_string();
    let config = put(config_bytes.as_bytes());
    let descriptors: Vec<_> = layers
        .iter()
        .zip(digests)
        .map(|(layer, digest)| {
            json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digest,
                "size": layer.len(),
            })
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config,
            "size": config_bytes.len(),
        },
        "layers": descriptors,
    })
    .to_string();
    let digest = put(manifest.as_bytes());
    let entry = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest,
        "size": manifest.len(),
        "annotations": {"org.opencontainers.image.ref.name": name},
    });
    let path = home.join("store/index.json");
    let index = if path.exists() { json_file(&path) } else { json!({}) };
    let others = index["manifests"].as_array().cloned().unwrap_or_default();
    let mut entries: Vec<_> =
        others.into_iter().filter(|other| other["annotations"] != entry["annotations"]).collect();
    entries.push(entry);
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
    });
    fs::write(path, index.to_string()).unwrap();
    fs::write(home.join("store/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    StoredImage { reference: name.into(), manifest: digest, config }
}

/// A layer of files, each a path and its content.
pub fn tar(files: &[(impl AsRef<str>, impl AsRef<str>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let paths = files.iter().flat_map(|(path, _)| Path::new(path.as_ref()).ancestors().skip(1));
    let folders: BTreeSet<_> = paths.filter(|path| *path != Path::new("")).collect();
    for folder in folders {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(0o755);
        header.set_cksum();
        tar.append_data(&mut header, folder, &[][..]).unwrap();
    }
    for (path, text) in files {
        let text = text.as_ref().as_bytes();
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, path.as_ref(), text).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A buffer that a view writes to and a test reads.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the stand-in does beside its duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    #[default]
    Dutiful,
    /// The user asks once to stop in this epoch.
    Stopped(u32),
    /// The user asks twice to stop in this epoch.
    Killed(u32),
    Fails,
    Crashes,
    OutOfMemory,
    /// Runs out of memory with more than this many pictures at a time.
    OutOfMemoryAbove(u32),
    /// Reports this many label problems.
    Notes(u32),
    /// Ends well, but writes no weights.
    Forgets,
    /// Is killed after this epoch.
    Dies(u32),
    /// Has spent its time after this epoch.
    OutOfTime(u32),
}

/// An engine that runs the stand-in instead of a container.
#[derive(Default)]
pub struct StandIn {
    pub mood: Mood,
    /// From this epoch on, losses are off by a bit, as on hardware of another class.
    pub drift: Option<u32>,
    pub stop: StopRequests,
    /// What the last container was given.
    pub container: Mutex<Option<Container>>,
    /// The first word of every container's arguments.
    pub verbs: Mutex<Vec<String>>,
}

impl Engine for StandIn {
    fn info(&self) -> EngineInfo {
        EngineInfo { kind: "stand-in".into(), version: "1".into(), details: serde_json::Map::new() }
    }

    fn user(&self) -> (u32, u32) {
        (1000, 1000)
    }

    fn prepare(&self, _image: &StoredImage) -> Result<(), Failure> {
        Ok(())
    }

    fn run(
        &self,
        container: &Container,
        stop: &StopRequests,
        output: &mut dyn FnMut(Output),
    ) -> Result<Ended, Failure> {
        *self.container.lock().unwrap() = Some(container.clone());
        self.verbs.lock().unwrap().push(container.arguments[0].clone());
        if container.arguments[0] == "convert" {
            let code = convert(container, output);
            return Ok(Ended { code, out_of_memory: false });
        }
        if container.arguments[0] == "batch" {
            let code = plan_batch(container, self.mood, output);
            return Ok(Ended { code, out_of_memory: false });
        }
        let code = Trainer::new(container, self, stop, output).run();
        Ok(Ended { code, out_of_memory: self.mood == Mood::OutOfMemory })
    }
}

/// One "process" of the stand-in.
struct Trainer<'a> {
    config: Config,
    manifest: Manifest,
    out: PathBuf,
    weights: Option<Vec<u8>>,
    /// What all numbers are made from.
    seed: Digest,
    mood: Mood,
    drift: Option<u32>,
    stop: &'a StopRequests,
    log: EventLog,
    output: &'a mut dyn FnMut(Output),
    resume: bool,
    stop_after: Option<u32>,
}

impl<'a> Trainer<'a> {
    fn new(
        container: &Container,
        stand_in: &StandIn,
        stop: &'a StopRequests,
        output: &'a mut dyn FnMut(Output),
    ) -> Self {
        let (task, options) = container.arguments.split_first().unwrap();
        let option = |name: &str| {
            options.chunks(2).find(|pair| pair[0] == name).map(|pair| outside(container, &pair[1]))
        };
        let config_text = fs::read_to_string(option("--config").unwrap()).unwrap();
        let config: Config = serde_yaml::from_str(&config_text).unwrap();
        assert_eq!(config.task().name(), task);
        let manifest_text = fs::read_to_string(option("--manifest").unwrap()).unwrap();
        let manifest: Manifest = manifest_text.parse().unwrap();
        for entry in manifest.entries() {
            let data = option("--data").unwrap();
            assert_eq!(Digest::of_file(&data.join(&entry.path)).unwrap().0, entry.sha256);
        }
        let weights = option("--weights").map(|path| fs::read(path).unwrap());
        let mut seed = format!("{} {}", config.digest(), manifest.root()).into_bytes();
        seed.extend(weights.iter().flatten());
        let out = option("--out").unwrap();
        let resume = options.iter().any(|option| option == "--resume");
        let log = out.join("events.jsonl");
        let log = if resume { EventLog::resume(&log) } else { EventLog::create(&log) }.unwrap();
        let number = |name: &str| -> Option<u32> {
            options.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1].parse().unwrap())
        };
        let steps = number("--stop-after-steps").map(|steps| steps / 2);
        let stop_after = number("--stop-after-epochs").or(steps);
        Self {
            config,
            manifest,
            out,
            weights,
            seed: Digest::of(&seed),
            mood: stand_in.mood,
            drift: stand_in.drift,
            stop,
            log,
            output,
            resume,
            stop_after,
        }
    }

    fn run(mut self) -> i32 {
        let count = |split| self.manifest.split(split).filter(|e| e.path.ends_with(".jpg")).count();
        let [train, val, source] = ["train", "val", "source"].map(|s| count(s) as u64);
        let images = Images { train, val, source };
        let (task, model) = (self.config.task(), self.info().model);
        self.say(Event::Start {
            task,
            version: "0.1.0".into(),
            model,
            parameters: 2_602_288,
            images,
        });
        self.notes();
        match self.mood {
            Mood::Fails => return self.fail(),
            Mood::Crashes => return self.crash(),
            Mood::OutOfMemory => return 137,
            Mood::OutOfMemoryAbove(most) if self.batch() > most => return 137,
            _ => {}
        }
        let done = match self.config.clone() {
            Config::Train(config) => self.train(config.epochs),
            Config::Val(_) => self.val(),
            Config::Predict(_) => self.predict(),
            Config::Export(_) => self.export(),
        };
        let code = done.unwrap_or_else(|message| {
            self.say(Event::Failed { code: "write-failed".into(), message, hint: None });
            1
        });
        if code == 0 {
            self.say(Event::Finished { seconds: 1.5 });
        }
        code
    }

    fn say(&mut self, event: Event) {
        (self.output)(match self.log.append(event) {
            Ok(line) => Output::Out(line),
            Err(e) => Output::Err(format!("warning: cannot write to the event log: {e}")),
        });
    }

    fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<(), String> {
        let name = name.as_ref();
        fs::create_dir_all(self.out.join(name).parent().unwrap())
            .and_then(|()| fs::write(self.out.join(name), content))
            .map_err(|e| format!("cannot write /out/{}: {e}", name.display()))
    }

    fn batch(&self) -> u32 {
        match &self.config {
            Config::Train(config) => config.batch,
            _ => 1,
        }
    }

    fn notes(&mut self) {
        let count = match self.mood {
            Mood::Notes(count) => count,
            _ => 1,
        };
        for line in 1..=u64::from(count) {
            self.say(Event::Note {
                code: "zero-size-box".into(),
                message: "the box has no area; it is left out".into(),
                file: Some("labels/train/1.txt".into()),
                line: Some(line),
            });
        }
    }

    fn fail(&mut self) -> i32 {
        self.say(Event::Failed {
            code: "changed-file".into(),
            message: "images/train/1.jpg was changed since the run started".into(),
            hint: Some("let nothing write to the data set during a run".into()),
        });
        1
    }

    fn crash(&mut self) -> i32 {
        (self.output)(Output::Err("terminate called without an active exception".into()));
        134
    }

    /// A number between 0 and 1 that depends on the inputs and on `what` alone.
    fn number(&self, what: &str) -> f64 {
        let digest = Digest::in_domain(&self.seed.hex(), what.as_bytes());
        f64::from(u32::from_le_bytes(digest.as_bytes()[..4].try_into().unwrap())) / 2_f64.powi(32)
    }

    fn metrics(&self, what: &str) -> Metrics {
        let number = |name: &str| self.number(&format!("{what} {name}"));
        let classes = NAMES.map(|name| ClassMetrics {
            name: name.into(),
            instances: 7,
            precision: number(name),
            recall: 0.5,
            map50: 0.5,
            map: 0.25,
        });
        Metrics {
            images: 1,
            instances: 21,
            precision: number("p"),
            recall: number("r"),
            map50: number("50"),
            map: number("50-95"),
            classes: classes.into(),
        }
    }

    fn train(&mut self, epochs: u32) -> Result<i32, String> {
        let mut chain = ChainHead::default();
        let (mut steps, mut csv) = (String::new(), "epoch,metrics/mAP50-95(B)\n".to_owned());
        let done = if self.resume { self.go_on() } else { 0 };
        for epoch in 1..=epochs {
            if epoch > done {
                self.progress(epoch, epochs);
            }
            let drifts = self.drift.is_some_and(|from| epoch >= from);
            let loss = self.number(&format!("loss {epoch}")) as f32;
            let loss = f32::from_bits(loss.to_bits() + u32::from(drifts));
            for step in 0..2 {
                steps += &(chain.append(Step::new(loss + step as f32, 0.5)) + "\n");
            }
            let metrics = self.metrics(&format!("{epoch}"));
            csv += &format!("{epoch},{}\n", metrics.map);
            if epoch <= done {
                continue;
            }
            self.say(Event::Epoch(self.epoch(epoch, epochs, metrics)));
            self.save(epoch, &steps, &csv)?;
            if self.mood == Mood::Dies(epoch) {
                return Ok(137);
            }
            if self.mood == Mood::OutOfTime(epoch) {
                self.say(Event::OutOfTime { epoch });
                return Ok(124);
            }
            match self.mood {
                Mood::Stopped(when) if when == epoch => self.stop.fetch_add(1, Ordering::SeqCst),
                Mood::Killed(when) if when == epoch => self.stop.fetch_add(2, Ordering::SeqCst),
                _ => 0,
            };
            match self.stop.load(Ordering::SeqCst) {
                0 if self.stop_after != Some(epoch) => {}
                0 => return Ok(130),
                1 => {
                    self.say(Event::Interrupted { epoch });
                    return Ok(130);
                }
                _ => return Ok(137),
            }
        }
        let metrics = self.metrics(&format!("{epochs}"));
        self.say(Event::Metrics(metrics));
        Ok(0)
    }

    /// Goes on after the epoch of its "checkpoint", of which it returns the number.
    fn go_on(&mut self) -> u32 {
        let text = fs::read_to_string(self.out.join("checkpoint/epoch")).unwrap_or_default();
        let mut numbers = text.split_whitespace().map(|number| number.parse::<u64>().unwrap());
        let [epoch, events] = [numbers.next(), numbers.next()].map(Option::unwrap_or_default);
        let epoch = epoch as u32;
        let since = self.log.count();
        self.say(Event::Resumed { epoch: epoch + 1, step: 2 * u64::from(epoch), events, since });
        epoch
    }

    fn progress(&mut self, epoch: u32, epochs: u32) {
        std::thread::sleep(Duration::from_millis(1));
        self.say(Event::Progress(Progress {
            phase: "train".into(),
            epoch,
            epochs,
            done: 1,
            total: 2,
            losses: Some(Losses::default()),
            instances: 3,
            imgsz: 320,
            memory: 0,
            images_per_second: 5.0,
        }));
    }

    fn epoch(&self, epoch: u32, epochs: u32, metrics: Metrics) -> Epoch {
        let losses = Losses { box_loss: 1.5, cls_loss: 2.25, dfl_loss: 1.125 };
        Epoch {
            epoch,
            epochs,
            train: losses,
            val: losses,
            metrics,
            lr: 0.001,
            instances: 12,
            imgsz: 320,
            memory: 1 << 30,
            images_per_second: 11.5,
            seconds: 0.5,
            best: true,
        }
    }

    fn save(&self, epoch: u32, steps: &str, csv: &str) -> Result<(), String> {
        self.write("steps.chain", steps)?;
        self.write("results.csv", csv)?;
        if self.mood == Mood::Forgets {
            return Ok(());
        }
        let checkpoint = format!("{epoch} {}", self.log.count());
        self.write("checkpoint/epoch", checkpoint)?;
        for name in ["best", "last"] {
            let info = WeightsInfo { epoch, ..self.info() };
            let tensor = Digest::in_domain(name, self.seed.as_bytes());
            let name = format!("weights/{name}.safetensors");
            self.write(name, safetensors(&info, tensor.as_bytes()))?;
        }
        Ok(())
    }

    fn info(&self) -> WeightsInfo {
        let (model, names, imgsz) = match &self.config {
            Config::Train(c) => (&c.model, &c.names, c.imgsz),
            Config::Val(c) => (&c.model, &c.names, c.imgsz),
            Config::Predict(c) => (&c.model, &c.names, c.imgsz),
            Config::Export(c) => (&c.model, &c.names, c.imgsz),
        };
        WeightsInfo { model: model.clone(), names: names.clone(), imgsz, epoch: 0 }
    }

    fn val(&mut self) -> Result<i32, String> {
        assert!(self.weights.is_some());
        let metrics = self.metrics("val");
        let text = serde_json::to_string_pretty(&metrics).unwrap();
        self.write("metrics.json", text)?;
        self.say(Event::Metrics(metrics));
        Ok(0)
    }

    fn export(&mut self) -> Result<i32, String> {
        assert!(self.weights.is_some());
        self.write("model.onnx", self.seed.hex())?;
        self.say(Event::Exported {
            path: "model.onnx".into(),
            bytes: 64,
            input: vec![1, 3, 320, 320],
            output: vec![1, 7, 2100],
        });
        Ok(0)
    }

    fn predict(&mut self) -> Result<i32, String> {
        assert!(self.weights.is_some());
        for entry in self.manifest.clone().entries() {
            let path = Path::new(&entry.path);
            self.write(path.file_name().unwrap(), "drawn")?;
            let label = Path::new("labels").join(path.with_extension("txt").file_name().unwrap());
            self.write(label, "1 0.5 0.5 0.2 0.2 0.9\n")?;
            let objects = json!({"RBC": 1}).as_object().unwrap().clone();
            let path = entry.path.clone();
            self.say(Event::Predicted { path, width: 640, height: 480, objects });
        }
        Ok(0)
    }
}

/// Says that twenty pictures fit, or in a bad mood why none does.
fn plan_batch(container: &Container, mood: Mood, output: &mut dyn FnMut(Output)) -> i32 {
    let (_, options) = container.arguments.split_first().unwrap();
    let option = |name: &str| &options.chunks(2).find(|pair| pair[0] == name).unwrap()[1];
    let text = fs::read_to_string(outside(container, option("--config"))).unwrap();
    assert!(matches!(serde_yaml::from_str(&text), Ok(Config::Train(_))));
    let mut log =
        EventLog::create(&outside(container, option("--out")).join("events.jsonl")).unwrap();
    let plan = BatchPlan {
        checkpointing: option("--checkpointing").parse().unwrap(),
        share: option("--share").parse().unwrap(),
        free: 4 << 30,
        available: 2100 << 20,
        fixed: 100 << 20,
        per_picture: 100 << 20,
        pictures: 1000,
        batch: 0,
        failed: Vec::new(),
    };
    let (event, code) = match mood {
        Mood::Fails => {
            let message = "out of memory: no batch fits".into();
            let hint = Some("any of these needs less: imgsz=224".into());
            (Event::Failed { code: OUT_OF_MEMORY.into(), message, hint }, 1)
        }
        _ => (Event::BatchPlan(plan.settled()), 0),
    };
    output(Output::Out(log.append(event).unwrap()));
    code
}

/// Copies what is not empty.
fn convert(container: &Container, output: &mut dyn FnMut(Output)) -> i32 {
    let [from, to] = [1, 2].map(|i| outside(container, &container.arguments[i]));
    let bytes = fs::read(from).unwrap();
    if bytes.is_empty() {
        output(Output::Err(format!("error: {}: it is empty", container.arguments[1])));
        return 1;
    }
    output(Output::Err("yolov12n, 3 classes".into()));
    fs::write(to, bytes).unwrap();
    0
}

/// The host's name of a path in the container.
fn outside(container: &Container, path: &str) -> PathBuf {
    let mount = container
        .mounts
        .iter()
        .find(|mount| Path::new(path).starts_with(&mount.target))
        .unwrap_or_else(|| panic!("{path} is not mounted"));
    match Path::new(path).strip_prefix(&mount.target).unwrap() {
        rest if rest.as_os_str().is_empty() => mount.source.clone(),
        rest => mount.source.join(rest),
    }
}

/// A file that begins as safetensors do.
pub fn safetensors(info: &WeightsInfo, tensor: &[u8]) -> Vec<u8> {
    let info = serde_json::to_string(info).unwrap();
    let header = json!({
        "__metadata__": {METADATA_KEY: info},
        "x": {"dtype": "U8", "shape": [tensor.len()], "data_offsets": [0, tensor.len()]},
    })
    .to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), tensor].concat()
}

/// A JSON file's content.
pub fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Replaces what differs from run to run, and line up nothing by it.
pub fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"sha256:[0-9a-f]{64}", "sha256:[digest]");
    settings.add_filter(r"/\S*/work\b", "[work]");
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]");
    settings.set_prepend_module_to_snapshot(true);
    settings
}
