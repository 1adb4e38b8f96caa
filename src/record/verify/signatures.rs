//! Who signed a run that came from a registry or an archive, or was pushed to one.

use std::path::Path;

use ybox_spec::Digest;

use super::report::{Check, Gap, Mismatch};
use crate::record::folder::file;
use crate::record::signed::SignedRun;
use crate::trust::{Policy, Trust};

const ITEM: &str = "signatures";

/// The check of the signatures that the run folder keeps; nothing if it keeps none. The signed record
/// lists every file, so that it is all that has to be compared.
pub fn signatures(folder: &Path, policy: Option<&Policy>) -> Option<Check> {
    let signed = match SignedRun::read(folder) {
        Ok(signed) => signed?,
        Err(error) => return Some(Check::bad(ITEM, Mismatch::Unreadable(error.to_string()))),
    };
    let found = match Digest::of_file(&folder.join(file::RECORD)) {
        Ok((found, _)) => found,
        Err(error) => return Some(Check::bad(ITEM, Mismatch::Unreadable(error.to_string()))),
    };
    let expected = signed.record();
    Some(match expected == found {
        true => judge(&signed, policy),
        false => Check::bad(ITEM, Mismatch::Digest { expected, found }),
    })
}

fn judge(signed: &SignedRun, policy: Option<&Policy>) -> Check {
    let Some(policy) = policy else { return Check::skipped(ITEM, Gap::NoPolicy) };
    let repository = &signed.repository;
    match policy.decide(repository, &signed.evidence()) {
        Ok(Trust::SignedBy(key)) => Check::ok(ITEM, format!("signed by {key}, for {repository}")),
        Ok(Trust::Unsigned | Trust::BuiltHere) => {
            Check::skipped(ITEM, Gap::NoKeys(repository.clone()))
        }
        Err(refusal) => Check::bad(ITEM, Mismatch::Untrusted(refusal)),
    }
}
