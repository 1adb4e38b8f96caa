//! A log that cannot be written does not keep the trainer from saying why it ended.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

mod command_support;
mod data_support;

use std::fs;
use std::os::unix::fs::symlink;

use command_support::{Data, config};
use ybox_spec::events::{Event, Line};

#[test]
fn the_reason_is_said_when_it_cannot_be_logged() {
    let data = Data::of(2);
    let run = data.run(&config());
    symlink("/dev/full", run.path("events.jsonl")).unwrap();
    // In the way of the folder of weights.
    fs::write(run.path("weights"), "").unwrap();
    let output = run.train(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    let last: Line = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert!(matches!(last, Line { link: None, event: Event::Failed { .. } }), "{said}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to the event log"));
}
