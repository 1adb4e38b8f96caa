//! `run.json` by itself: its form, and the hashes that follow from its content.

use std::fs;
use std::path::Path;

use ybox_spec::Digest;
use ybox_spec::record::{Record, SCHEMA, run_hash};

use super::report::{Check, Mismatch};
use crate::record::folder::file;

/// Reads the record and checks that it is exactly as it was written.
pub fn read(folder: &Path) -> (Vec<Check>, Option<Record>) {
    let bad = |mismatch| (vec![Check::bad(file::RECORD, mismatch)], None);
    let bytes = match fs::read(folder.join(file::RECORD)) {
        Ok(bytes) => bytes,
        Err(error) => return bad(Mismatch::Unreadable(error.to_string())),
    };
    let record: Record = match serde_json::from_slice(&bytes) {
        Ok(record) => record,
        Err(error) => return bad(Mismatch::Unreadable(format!("not a run record: {error}"))),
    };
    let check = match own_mismatch(&record, &bytes) {
        Some(mismatch) => Check::bad(file::RECORD, mismatch),
        None => Check::ok(file::RECORD, record.own_hash()),
    };
    (vec![check], Some(record))
}

fn own_mismatch(record: &Record, bytes: &[u8]) -> Option<Mismatch> {
    if record.schema != SCHEMA {
        let reason = format!("schema `{}` is not `{SCHEMA}`", record.schema);
        return Some(Mismatch::Contradiction(reason));
    }
    let found = record.own_hash();
    match record.record_hash {
        None => Some(Mismatch::Contradiction("it has no record_hash".into())),
        Some(expected) if expected != found => Some(Mismatch::Digest { expected, found }),
        Some(_) => (record.to_json().as_bytes() != bytes).then_some(Mismatch::Form),
    }
}

/// The hashes that the content of the record gives.
pub fn hashes(record: &Record) -> Vec<Check> {
    let (input, result) = (record.inputs.hash(), record.outputs.hash());
    vec![
        Check::digests("config", record.inputs.config, record.config.digest()),
        compute(record),
        Check::digests("input hash", record.input_hash, input),
        Check::digests("result hash", record.result_hash, result),
        Check::digests("run hash", record.run_hash, run_hash(input, result)),
    ]
}

/// Attention and numerics stand in the config and among the inputs.
fn compute(record: &Record) -> Check {
    let compute = record.config.compute();
    let says = |attention: &str, numerics: &str| format!("{attention} attention, {numerics}");
    let config = says(compute.attention.name(), compute.numerics.name());
    let inputs = says(record.inputs.attention.name(), record.inputs.numerics.name());
    match config == inputs {
        true => Check::ok("compute", inputs),
        false => {
            let reason = format!("the inputs say {inputs}; the config says {config}");
            Check::bad("compute", Mismatch::Contradiction(reason))
        }
    }
}

/// Whether this is the run that someone meant.
pub fn given_hash(record: &Record, expected: Digest) -> Check {
    let found = run_hash(record.inputs.hash(), record.outputs.hash());
    Check::digests("run hash given", expected, found)
}
