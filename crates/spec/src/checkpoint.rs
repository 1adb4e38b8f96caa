//! The names of a training's checkpoints, and what others than the trainer read of them. All else in
//! them is the trainer's.

use std::path::Path;

use serde::Deserialize;

use crate::Digest;
use crate::chain::ChainHead;
use crate::weights::{WeightsError, metadata};

/// Folder of the checkpoints in a run folder.
pub const FOLDER: &str = "checkpoint";
/// Key of the metadata entry in a checkpoint's safetensors header, whose value is JSON.
pub const METADATA_KEY: &str = "ybox.checkpoint";

const PREFIX: &str = "epoch";
const BEST: &str = "best-";
const ENDING: &str = ".safetensors";

/// Name of the checkpoint after `batch` batches of `epoch`, from 1: names sort as checkpoints were
/// made.
pub fn name(epoch: u32, batch: u64, digest: &Digest) -> String {
    format!("{PREFIX}{epoch:06}-batch{batch:08}-{}{ENDING}", short(digest))
}

/// The digits of the file's digest in the name of a checkpoint; `None` where it is none.
pub fn digits(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)?.strip_suffix(ENDING)?.rsplit('-').next()
}

/// Name of the best weights that a checkpoint goes with, by their digest.
pub fn best_name(digest: &Digest) -> String {
    format!("{BEST}{}{ENDING}", short(digest))
}

pub fn is_best(name: &str) -> bool {
    name.starts_with(BEST) && name.ends_with(ENDING)
}

/// What names carry of a digest: enough to notice damage; forgery is what the record is for.
pub fn short(digest: &Digest) -> String {
    let mut digits = digest.hex();
    digits.truncate(16);
    digits
}

/// Steps taken before the checkpoint at `path`; `None` where it is none.
pub fn steps(path: &Path) -> Result<Option<u64>, WeightsError> {
    #[derive(Deserialize)]
    struct Head {
        outputs: Outputs,
    }
    #[derive(Deserialize)]
    struct Outputs {
        chain: ChainHead,
    }
    Ok(metadata::<Head>(path, METADATA_KEY)?.map(|head| head.outputs.chain.count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_in_time_and_tell_what_they_are() {
        let digest = Digest::of(b"");
        let first = name(9, 12, &digest);
        assert_eq!(first, "epoch000009-batch00000012-e3b0c44298fc1c14.safetensors");
        assert!(first < name(9, 100, &digest) && name(9, 100, &digest) < name(10, 1, &digest));
        assert_eq!(digits(&first), Some("e3b0c44298fc1c14"));
        let best = best_name(&digest);
        assert_eq!((digits(&best), is_best(&best), is_best(&first)), (None, true, false));
    }
}
