//! `run.json`, the record of a run, and the hashes that name it. Recomputing them from a run
//! folder and comparing is `ybox verify`'s work.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch::BatchPlan;
use crate::chain::ChainHead;
use crate::config::{AttentionPath, Config, Launch, Numerics};
use crate::events::LogHead;
use crate::intervention::Intervention;
use crate::{Digest, canonical};

/// Value of `schema` in every record of this form.
pub const SCHEMA: &str = "ybox.run/v1";
/// Value of `schema` in every `start.json` of this form.
pub const START_SCHEMA: &str = "ybox.start/v1";
pub const INPUT_DOMAIN: &str = "ybox.input.v1";
pub const RESULT_DOMAIN: &str = "ybox.result.v1";
pub const RUN_DOMAIN: &str = "ybox.run.v1";
pub const RECORD_DOMAIN: &str = "ybox.record.v1";

/// What a run started from. The same on every machine that starts the same run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// Config digest of the image: its identity whatever the compression.
    pub image: Digest,
    /// Hash of the resolved config.
    pub config: Digest,
    /// Merkle root of the data manifest.
    pub data: Digest,
    /// SHA-256 of the initial weights' file, if training did not start from scratch.
    pub weights: Option<Digest>,
    pub attention: AttentionPath,
    pub numerics: Numerics,
}

impl Inputs {
    pub fn hash(&self) -> Digest {
        canonical::digest(INPUT_DOMAIN, self)
    }

    /// Names of what differs in `other`, and both values; in the order in which it goes in.
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let shown = |weights: Option<Digest>| weights.map_or("none".into(), |w| w.to_string());
        let pairs = [
            ("image", self.image.to_string(), other.image.to_string()),
            ("config", self.config.to_string(), other.config.to_string()),
            ("data", self.data.to_string(), other.data.to_string()),
            ("initial weights", shown(self.weights), shown(other.weights)),
            ("attention", self.attention.name().into(), other.attention.name().into()),
            ("numerics", self.numerics.name().into(), other.numerics.name().into()),
        ];
        pairs.into_iter().filter(|(_, ours, theirs)| ours != theirs).collect()
    }
}

/// `start.json`: what a run was started with, written before the first step, and again only where an
/// automatic batch is halved. Who goes on with the run, or repeats it, goes by this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beginning {
    pub schema: String,
    pub inputs: Inputs,
    pub image: ImageSource,
    pub data: DataSource,
    /// Absolute path of the initial weights.
    pub weights: Option<String>,
    /// The launch settings.
    pub launch: Launch,
    /// How the batch was chosen, where memory decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchPlan>,
    /// RFC 3339, UTC.
    pub started: String,
}

/// A file of the run folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Relative to the run folder.
    pub path: String,
    pub size: u64,
    pub sha256: Digest,
}

/// What a run produced and would produce again: nothing in here depends on time or place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    /// Sorted by path.
    pub artifacts: Vec<Artifact>,
    /// Head of the metric chain of a training.
    pub steps: Option<ChainHead>,
}

impl Outputs {
    pub fn hash(&self) -> Digest {
        canonical::digest(RESULT_DOMAIN, self)
    }
}

/// The hash that people pass around.
pub fn run_hash(input: Digest, result: Digest) -> Digest {
    canonical::digest(RUN_DOMAIN, &serde_json::json!({ "input": input, "result": result }))
}

/// What `record_hash` has to be in a record, of this form or an older one.
pub fn record_hash(mut record: Value) -> Digest {
    if let Some(fields) = record.as_object_mut() {
        fields.remove("record_hash");
    }
    canonical::digest(RECORD_DOMAIN, &record)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Completed,
    /// Stopped on request; the outputs are those of the epochs done.
    Interrupted,
    /// Stopped because the hours that it was given are spent; as [`Self::Interrupted`] otherwise.
    #[serde(rename = "out-of-time")]
    OutOfTime,
}

/// The record of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub schema: String,
    pub status: Status,
    pub inputs: Inputs,
    pub outputs: Outputs,
    pub input_hash: Digest,
    pub result_hash: Digest,
    pub run_hash: Digest,
    /// The resolved config, whose hash is in `inputs`.
    pub config: Config,
    pub events: LogHead,
    /// What the trainer did on its own to keep the training healthy, as `events` tells it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interventions: Vec<Intervention>,
    /// Files of the run folder that are not outputs: they may differ from run to run.
    pub files: Vec<Artifact>,
    /// Where the run happened and what it was started with. Informative: in no input or result
    /// hash, but in `record_hash`.
    pub circumstances: Circumstances,
    /// Hash of this record without this field.
    pub record_hash: Option<Digest>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Circumstances {
    /// Version of ybox.
    pub ybox: String,
    /// Start and end, RFC 3339, UTC.
    pub started: String,
    pub finished: String,
    pub image: ImageSource,
    pub data: DataSource,
    /// Absolute path of the initial weights.
    pub weights: Option<String>,
    /// Engine that ran the container: kind and version.
    pub engine: Value,
    /// The launch settings.
    pub launch: Value,
    /// How `batch=auto` was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchPlan>,
    /// Facts of `ybox probe`.
    pub host: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSource {
    /// The image's name and tag in the local store.
    pub reference: String,
    pub manifest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSource {
    /// Absolute path of the data set's root on the machine that ran.
    pub root: String,
    pub files: u64,
    pub bytes: u64,
}

/// Why something is not taken for a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
    #[error("it was changed since it was written")]
    Changed,
}

impl Record {
    /// The record in a `run.json`, which has to hash to what it says. By its own words: those of
    /// another ybox may say more, or less, than is known today.
    pub fn read(json: &[u8]) -> Result<Self, RecordError> {
        let written = record_hash(serde_json::from_slice(json)?);
        let record: Self = serde_json::from_slice(json)?;
        match record.record_hash == Some(written) {
            true => Ok(record),
            false => Err(RecordError::Changed),
        }
    }

    /// Sets all hashes from the content.
    pub fn seal(mut self) -> Self {
        self.input_hash = self.inputs.hash();
        self.result_hash = self.outputs.hash();
        self.run_hash = run_hash(self.input_hash, self.result_hash);
        self.record_hash = Some(self.own_hash());
        self
    }

    /// What `record_hash` has to be.
    pub fn own_hash(&self) -> Digest {
        record_hash(serde_json::to_value(self).expect("a record is plain data"))
    }

    /// The bytes of `run.json`.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a record is plain data") + "\n"
    }
}
