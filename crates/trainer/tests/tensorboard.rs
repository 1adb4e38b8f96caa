//! Event files as the tensorboard package reads them, where `scripts/oracle-venv.sh` was run.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use ytrain::report::tensorboard::TensorBoard;

const READ: &str = "
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1])
events.Reload()
tags = events.Tags()['scalars']
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags}))
";

#[test]
fn tensorboard_reads_the_scalars_back() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/oracle-venv/bin/python");
    let installed = Command::new(&python).args(["-c", "import tensorboard"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no tensorboard; run scripts/oracle-venv.sh");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut events = TensorBoard::create(&dir.path().join("events.out.tfevents.ybox")).unwrap();
    for (epoch, loss) in [(1, 4.5), (2, 0.25), (300, f64::from(1e-7_f32))] {
        events.append(epoch, &[("train/box_loss", loss), ("lr/pg0", 0.5)]).unwrap();
    }
    let output = Command::new(python).args(["-c", READ]).arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        read,
        json!({
            "train/box_loss": [[1, 4.5], [2, 0.25], [300, f64::from(1e-7_f32)]],
            "lr/pg0": [[1, 0.5], [2, 0.5], [300, 0.5]],
        })
    );
}
