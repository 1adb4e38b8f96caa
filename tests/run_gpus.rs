//! `ybox run` on a machine with GPUs, with a stand-in for the trainer: which image it takes, what its
//! container is given, and what stands in the record.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod run_standin;

use run_standin::{Place, Shared, layered_image, tar};
use serde_json::json;
use ybox::engine::Gpu;
use ybox::plan::{Tables, pretend};
use ybox::probe::{Fact, Facts};
use ybox::run::{self, Order, Request};
use ybox::ui::{Failure, RunView, Screen};
use ybox_spec::config::{AttentionPath, Config, Task};

const TRAIN: [&str; 4] = ["data=data/data.yaml", "epochs=1", "imgsz=320", "numerics=fast"];

/// A place with an image for the CPU and one for CUDA 13.
fn place() -> Place {
    let place = Place::new();
    let preset = [("opt/ybox/configs/yolov12n.yaml", "model: yolov12n\nepochs: 600\n")];
    let labels = json!({"ybox.variant": "cuda13"});
    layered_image(&place.home(), "ybox/cuda13:latest", &[tar(&preset)], &labels);
    place
}

fn two_a100s() -> Facts {
    let mut facts = pretend("2xA100", &Tables::built_in()).unwrap();
    let Fact::Is(gpus) = &mut facts.gpus else { panic!("pretended GPUs") };
    for (gpu, uuid) in gpus.iter_mut().zip(["GPU-a", "GPU-b"]) {
        gpu.uuid = Fact::Is(uuid.into());
    }
    facts
}

fn order(
    place: &Place,
    facts: &Facts,
    image: Option<&str>,
    more: &[&str],
) -> Result<Order, Failure> {
    let request = Request {
        task: Task::Train,
        arguments: TRAIN.iter().chain(more).map(|word| (*word).to_owned()).collect(),
        image: image.map(Into::into),
        directory: place.work(),
    };
    run::resolve(&request, &place.store(), &|asked| run::settle(facts, asked))
}

#[test]
fn a_gpu_takes_the_image_of_its_variant_and_the_path_of_its_kind() {
    let place = place();
    let gpu = order(&place, &two_a100s(), None, &["device=1"]).unwrap();
    assert_eq!(gpu.image.reference, "ybox/cuda13:latest");
    assert_eq!(gpu.devices.gpus, [Gpu { index: 1, uuid: Some("GPU-b".into()) }]);
    let Config::Train(config) = &gpu.config else { panic!("a training") };
    assert_eq!(config.compute.attention, AttentionPath::Flash);
    for (device, image) in [("auto", None), ("cpu", None), ("cpu", Some("ybox/cpu"))] {
        let device = format!("device={device}");
        let cpu = order(&place, &two_a100s(), image, &[&device]).unwrap();
        assert_eq!((cpu.image.reference.as_str(), cpu.devices.gpus.len()), ("ybox/cpu:latest", 0));
    }
    let auto = order(&place, &two_a100s(), Some("ybox/cuda13"), &[]).unwrap();
    assert_eq!(auto.devices.gpus.len(), 2);
}

/// Both compute in fp32, which flash kernels of GPUs don't: where a training takes flash, they don't.
#[test]
fn validation_and_prediction_take_a_path_that_has_fp32() {
    let place = place();
    place.train();
    const WEIGHTS: &str = "weights=runs/train/exp/weights/best.safetensors";
    let ordered = |task, what: &str, image: Option<&str>, more: &[&str]| {
        let arguments = [&[WEIGHTS, what, "numerics=fast"], more].concat();
        let request = Request {
            task,
            arguments: arguments.into_iter().map(Into::into).collect(),
            image: image.map(Into::into),
            directory: place.work(),
        };
        run::resolve(&request, &place.store(), &|asked| run::settle(&two_a100s(), asked))
    };
    for (task, what) in
        [(Task::Val, "data=data/data.yaml"), (Task::Predict, "source=data/images/train")]
    {
        for (image, more) in
            [(None, &["device=0"][..]), (None, &["device=all"]), (Some("ybox/cuda13"), &[])]
        {
            let order = ordered(task, what, image, more).unwrap();
            assert!(!order.devices.gpus.is_empty());
            assert_eq!(order.config.attention(), AttentionPath::Efficient, "{more:?}");
        }
        let asked = |path| ordered(task, what, None, &["device=0", path]);
        let safe = asked("attention=safe").unwrap();
        assert_eq!(safe.config.attention(), AttentionPath::Safe);
        let flash = asked("attention=flash").unwrap_err();
        assert!(flash.what.starts_with("flash-needs-half: "), "{flash}");
        assert!(flash.hint.is_some());
    }
}

#[test]
fn the_container_is_given_the_gpus_and_the_record_says_so() {
    let place = place();
    let facts = Facts {
        apart: vec![ybox::probe::facts::Apart { gpus: [0, 1], reason: "GpuNotSupported".into() }],
        ..two_a100s()
    };
    let order = order(&place, &facts, None, &["device=cuda:0,1"]).unwrap();
    let talk = Shared::default();
    let mut view = RunView::talking(Screen::plain(Box::new(talk.clone())));
    let record = place.carry_out(&order, &mut view).unwrap().record;
    let container = place.stand_in.container.lock().unwrap().clone().unwrap();
    assert_eq!(container.gpus.len(), 2);
    assert_eq!(container.shm_size, 1 << 30);
    let told =
        |name: &str| container.environment.iter().find(|(n, _)| n == name).cloned().unwrap().1;
    assert_eq!(told("CUDA_DEVICE_ORDER"), "PCI_BUS_ID");
    assert_eq!(told("NCCL_P2P_DISABLE"), "1");
    assert!(container.arguments.windows(2).any(|words| words == ["--device", "cuda:0"]));
    assert_eq!(record.circumstances.launch["device"], "0,1");
    assert_eq!(record.circumstances.launch["p2p"], "off");
    for note in [
        "note: device=cuda:0,1 is read as device=0,1",
        "note: a run computes on one device: of its GPUs, on 0",
    ] {
        assert!(talk.text().contains(note), "{}", talk.text());
    }
}

#[test]
fn peer_access_is_the_user_s_to_decide() {
    let place = place();
    let p2p = |facts: &Facts, more: &[&str]| {
        let order = order(&place, facts, None, &[&["device=all"], more].concat()).unwrap();
        serde_json::to_value(order.launch.p2p).unwrap()
    };
    assert_eq!(p2p(&two_a100s(), &[]), "on");
    assert_eq!(p2p(&two_a100s(), &["p2p=off"]), "off");
}

#[test]
fn what_can_t_be_is_refused_with_its_code() {
    let place = place();
    let refused = |facts: &Facts, image, more: &[&str]| {
        let failure = order(&place, facts, image, more).unwrap_err();
        assert!(failure.hint.is_some(), "{failure}");
        assert_eq!(failure.exit, 1, "{failure}");
        failure.what
    };
    let a100s = two_a100s();
    let what = refused(&a100s, Some("ybox/cpu"), &["device=0"]);
    assert!(what.starts_with("variant-not-for-device: variant cpu"), "{what}");
    assert!(refused(&a100s, None, &["device=2"]).starts_with("no-such-device: "));
    assert!(refused(&a100s, None, &["device=GPU-c"]).starts_with("no-such-device: "));
    let portable = refused(&a100s, None, &["device=0", "numerics=portable"]);
    assert!(portable.starts_with("portable-needs-cpu: "), "{portable}");
    // The variant is known, and its image is not there.
    let v100 = pretend("V100,driver=580.82.07", &Tables::built_in()).unwrap();
    let what = refused(&v100, None, &["device=0"]);
    assert!(what.contains("ybox/cuda126"), "{what}");
}
