//! `docs/gpu.md` lists every refusal, by its code.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use ybox::plan::Code;

/// What a plan says without refusing, and what is refused for the sake of a CPU.
const OTHERS: [Code; 17] = [
    Code::AskedFor,
    Code::GpuUsable,
    Code::FirstThatFits,
    Code::CommonToAllGpus,
    Code::DefaultForDevice,
    Code::ProcessorInImage,
    Code::EngineOffersGpus,
    Code::KernelsDeterministic,
    Code::CapabilityFromName,
    Code::UnverifiedRow,
    Code::EngineUnknown,
    Code::PeerAccess,
    Code::PeerAccessOff,
    Code::PortableNeedsFp32,
    Code::PortableNeedsAvx2,
    Code::NoGpu,
    Code::NotInTable,
];
/// Said without refusing, but also when refusing.
const BOTH: [Code; 2] = [Code::NoGpu, Code::NotInTable];

/// The codes in the first column of the section's tables.
fn listed() -> BTreeSet<String> {
    let page = std::fs::read_to_string("docs/gpu.md").unwrap();
    let (_, section) = page.split_once("## What is refused, and what to do\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.split(" | ").collect();
        assert!(cells.len() == 3 && cells.iter().all(|cell| cell.len() > 2), "{row}");
        cells[0].trim_end_matches('`').to_owned()
    })
    .collect()
}

#[test]
fn the_page_and_the_code_have_the_same_refusals() {
    let refusals = Code::ALL.iter().filter(|code| !OTHERS.contains(code) || BOTH.contains(code));
    let names: BTreeSet<_> = refusals.map(|code| code.name().to_owned()).collect();
    assert_eq!(listed(), names);
}
