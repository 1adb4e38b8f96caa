use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::model::{ModelSpec, Yolo12};

/// A zip as PyTorch writes it, with one storage of eight bytes.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("data.pkl", pickle), ("data/0", &[0, 0, 128, 63, 0, 0, 0, 64])] {
        zip.start_file(format!("archive/{name}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn opened(bytes: &[u8]) -> Result<Contents, Reason> {
    Archive::open(Cursor::new(bytes))?.contents()
}

/// `{"x": tensor}` in the storage of [`archive`].
fn state_of_one(class: &str, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let ints = |values: &[u8]| {
        let inner: Vec<u8> = values.iter().flat_map(|value| [b'K', *value]).collect();
        [b"(", &inner[..], b"t"].concat()
    };
    [
        b"\x80\x02}X\x01\x00\x00\x00xctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage",
        format!("ctorch\n{class}\n").as_bytes(),
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQK",
        &[offset],
        &ints(shape),
        &ints(strides),
        b"\x89}tRs.",
    ]
    .concat()
}

fn model() -> Yolo12 {
    let spec = ModelSpec::parse("yolov12n", 2).unwrap();
    let model =
        Yolo12::new(spec, ybox_spec::config::AttentionPath::Safe, tch::Device::Cpu).unwrap();
    model.init(1);
    model
}

fn info() -> WeightsInfo {
    let names = vec!["a".into(), "b".into()];
    WeightsInfo { model: "yolov12n".into(), names, imgsz: 320, epoch: 7 }
}

#[test]
fn a_state_dict_goes_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = ["a.pt", "b.pt"].map(|name| dir.path().join(name));
    let state = model().state_dict();
    write(&first, &state, Some(&info())).unwrap();
    write(&second, &state, Some(&info())).unwrap();
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    let contents = read(&first).unwrap();
    assert_eq!(contents.info, Some(info()));
    assert_eq!(contents.state, state);
}

#[test]
fn a_hostile_pickle_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let trap = dir.path().join("trap").display().to_string();
    let calls = [
        ("os\nsystem", format!("touch {trap}")),
        ("builtins\neval", format!("open('{trap}', 'w')")),
    ];
    for (callee, argument) in calls {
        let text = [b"X", &(argument.len() as u32).to_le_bytes()[..], argument.as_bytes()].concat();
        let call = [b"c", callee.as_bytes(), b"\n", &text, b"\x85R"].concat();
        let alone = [b"\x80\x02", &call[..], b"."].concat();
        let refused = opened(&archive(&alone)).unwrap_err();
        assert_eq!(refused.to_string(), "it holds no state dict and no model");
        // Beside a tensor it is passed over: before it, in its place, as its hooks.
        let good = state_of_one("FloatStorage", 0, &[2], &[1]);
        let body = &good[3..good.len() - 1];
        let with = [b"\x80\x02}", &call[..], b"K\x01s", body, b"."].concat();
        assert_eq!(opened(&archive(&with)).unwrap().state.len(), 1);
    }
    assert!(!Path::new(&trap).exists());
}

#[test]
fn tensors_are_views_of_their_storage() {
    let read = |offset, shape: &[u8], strides: &[u8]| {
        let contents = opened(&archive(&state_of_one("FloatStorage", offset, shape, strides)))?;
        Ok::<_, Reason>(contents.state.into_iter().next().unwrap().1)
    };
    assert_eq!(read(0, &[2], &[1]).unwrap(), Tensor::from_slice(&[1f32, 2.0]));
    assert_eq!(read(1, &[], &[]).unwrap(), Tensor::from(2f32));
    assert_eq!(read(0, &[1, 2], &[9, 1]).unwrap().size(), [1, 2]);
    for (offset, shape, strides) in [
        (1, &[2][..], &[1][..]),
        (2, &[1], &[1]),
        (0, &[2], &[2]),
        // A stride of 0 makes much of little.
        (0, &[255, 255], &[0, 0]),
        (0, &[2], &[]),
    ] {
        let refused = read(offset, shape, strides).unwrap_err();
        assert_eq!(refused.to_string(), "its tensor x reaches beyond its storage");
    }
    let whole = opened(&archive(&state_of_one("LongStorage", 0, &[1], &[1]))).unwrap();
    assert_eq!(whole.state[0].1, Tensor::from_slice(&[0x4000_0000_3f80_0000i64]));
    let refused = opened(&archive(&state_of_one("BoolStorage", 0, &[2], &[1]))).unwrap_err();
    assert!(refused.to_string().starts_with("its tensor x is of BoolStorage"), "{refused}");
}

#[test]
fn modules_without_end_are_refused() {
    // m = {"_modules": {}}; m["_modules"]["m"] = m
    let cycle = b"\x80\x02}q\x00X\x08\x00\x00\x00_modules}X\x01\x00\x00\x00mh\x00ss.";
    let refused = opened(&archive(cycle)).unwrap_err();
    assert_eq!(refused.to_string(), "its model has too many parts, or is nested too deeply");
}

#[test]
fn other_files_are_refused() {
    assert!(matches!(opened(b"not a zip"), Err(Reason::Zip(_))));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("readme", SimpleFileOptions::default()).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    assert!(matches!(opened(&bytes), Err(Reason::NoPickle)));
}

/// Has Python read what we wrote, as strictly as `weights_only=True`, and pickle it again as
/// Ultralytics does: a tree of modules in fp16, channels last, beside settings and traps.
#[test]
fn a_checkpoint_of_modules_is_read() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = manifest.join("../../target/oracle-venv/bin/python");
    if !python.exists() {
        println!("skipped: no {}; scripts/oracle-venv.sh makes it", python.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [ours, theirs, trap] = ["ours.pt", "theirs.pt", "trap"].map(|name| dir.path().join(name));
    let state = model().state_dict();
    write(&ours, &state, Some(&info())).unwrap();
    let script = manifest.join("tests/pytorch_stand_in.py");
    let done = Command::new(python).arg(script).args([&ours, &theirs, &trap]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let contents = read(&theirs).unwrap();
    assert!(!trap.exists());
    let rounded = |tensor: &Tensor| match tensor.kind() {
        Kind::Float => tensor.to_kind(Kind::Half).to_kind(Kind::Float),
        _ => tensor.shallow_clone(),
    };
    let expected: Vec<_> = state.iter().map(|(name, t)| (name.clone(), rounded(t))).collect();
    assert_eq!(contents.state, expected);
    assert_eq!(contents.names, Some(vec!["a cat".to_owned(), "été".to_owned()]));
    assert_eq!((contents.imgsz, contents.epochs, contents.info), (Some(416), Some(600), None));
}

proptest! {
    #[test]
    fn a_damaged_pickle_never_panics(
        flips in proptest::collection::vec((0usize..160, any::<u8>()), 1..6),
        cut in 0usize..400,
    ) {
        let mut pickle = state_of_one("FloatStorage", 0, &[1, 2], &[2, 1]);
        for (at, byte) in flips {
            let at = at % pickle.len();
            pickle[at] = byte;
        }
        pickle.truncate(cut);
        let _ = opened(&archive(&pickle));
    }
}
