//! A run and who signed it. `signatures.json` in its folder keeps the manifest that the run has in a
//! registry, and the signatures of that; it came after the record, which does not list it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use ybox_spec::record::Artifact;
use ybox_spec::{Digest, canonical, files};

use super::folder::file;
use super::manifest::RunManifest;
use super::parcel::{ParcelError, found};
use crate::strict;
use crate::trust::Evidence;
use crate::trust::cosign::{Collection, Kind, Noted};

const SCHEMA: &str = "ybox.run-signatures/v1";
/// Far more than anything has: all of it is read into memory.
const LARGEST: u64 = 32 << 20;

/// What signatures of a run are about, and they themselves. None of it is believed yet.
#[derive(Debug, Clone)]
pub struct SignedRun {
    /// Where the run is or was, without tag and digest: that chooses the rule of a policy.
    pub repository: String,
    pub manifest: RunManifest,
    pub signatures: Collection,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    schema: String,
    repository: String,
    /// The manifest's text: its digest is what was signed.
    manifest: String,
    signatures: Vec<Noted>,
}

impl SignedRun {
    /// What a run folder keeps; nothing if it keeps no signature.
    pub fn read(folder: &Path) -> Result<Option<Self>, ParcelError> {
        let path = folder.join(file::SIGNATURES);
        match File::open(&path) {
            Ok(file) => Self::parse(file, &path).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ParcelError::Read { path, source }),
        }
    }

    /// Reads what was kept as `path`.
    pub fn parse(reader: impl Read, path: &Path) -> Result<Self, ParcelError> {
        let mut bytes = Vec::new();
        let read = reader.take(LARGEST + 1).read_to_end(&mut bytes);
        read.map_err(|source| ParcelError::Read { path: path.to_owned(), source })?;
        let malformed =
            |why: &dyn ToString| ParcelError::malformed(path.display().to_string(), why);
        if bytes.len() as u64 > LARGEST {
            return Err(malformed(&format!("it has more than {LARGEST} bytes")));
        }
        let kept: Kept = strict::parse(&bytes).map_err(|e| malformed(&e))?;
        if kept.schema != SCHEMA {
            return Err(malformed(&format!("its form is `{}`, not `{SCHEMA}`", kept.schema)));
        }
        let manifest = RunManifest::parse(kept.manifest.into_bytes())?;
        let signatures = Collection::of_noted(Kind::Signatures, kept.signatures);
        Ok(Self { repository: kept.repository, manifest, signatures })
    }

    /// Keeps it in the run folder, where nothing else about signatures stays.
    pub fn keep(&self, folder: &Path) -> Result<(), ParcelError> {
        let path = folder.join(file::SIGNATURES);
        let signatures = self.signatures.clone().about(&[self.manifest.digest()]);
        let kept = Kept {
            schema: SCHEMA.into(),
            repository: self.repository.clone(),
            manifest: String::from_utf8_lossy(&self.manifest.bytes).into_owned(),
            signatures: signatures.noted(),
        };
        let bytes = canonical::to_bytes(&kept);
        let written = match kept.signatures.len() {
            0 => files::remove_if_there(&path),
            _ if bytes.len() as u64 > LARGEST => Err(io::ErrorKind::FileTooLarge.into()),
            _ => files::write_atomic(&path, &bytes),
        };
        written.map_err(ParcelError::write(&path))
    }

    /// For a policy to judge. No run is built here: signatures are all that speaks for it.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            manifests: vec![self.manifest.digest()],
            signatures: self.signatures.signed(),
            built_here: false,
        }
    }

    /// The file that keeps it in a run folder, as part of a parcel.
    pub fn kept(folder: &Path) -> Result<Artifact, ParcelError> {
        found(folder, file::SIGNATURES)
    }

    /// Whether these files are those that were signed.
    pub fn covers(&self, files: &[Artifact]) -> bool {
        let sorted = |files: &[Artifact]| {
            let mut files = files.to_vec();
            files.sort_by(|a, b| a.path.cmp(&b.path));
            files
        };
        sorted(&self.manifest.files) == sorted(files)
    }

    /// The record that was signed: it lists all other files but the report.
    pub fn record(&self) -> Digest {
        let record = self.manifest.files.iter().find(|file| file.path == file::RECORD);
        record.expect("a run's manifest has a record").sha256
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use oci_spec::image::MediaType;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::image::oci;
    use crate::record::manifest::RUN_TYPE;
    use crate::trust::{Policy, PrivateKey, Trust};

    const REPOSITORY: &str = "r.test/team/runs";

    fn signed(key: &PrivateKey) -> SignedRun {
        let mut layer = oci::describe(MediaType::from("application/json"), b"record");
        let title = ("org.opencontainers.image.title".to_owned(), file::RECORD.to_owned());
        layer.set_annotations(Some([title].into()));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageManifest,
            "artifactType": RUN_TYPE,
            "config": oci::describe(MediaType::EmptyJSON, oci::EMPTY),
            "layers": [layer],
            "subject": oci::describe(MediaType::ImageManifest, b"image"),
        });
        let manifest = RunManifest::parse(oci::bytes(&manifest)).unwrap();
        let mut signatures = Collection::new(Kind::Signatures);
        signatures.sign(REPOSITORY, manifest.digest(), key);
        SignedRun { repository: REPOSITORY.into(), manifest, signatures }
    }

    fn policy(key: &PrivateKey) -> Policy {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("team.pub"), key.public().pem()).unwrap();
        let rules = "rules: [{repository: '**', keys: [team.pub]}]";
        Policy::parse(rules, &dir.path().join("trust.yaml")).unwrap()
    }

    #[test]
    fn what_is_kept_is_read_again_and_only_signatures_of_the_run_are() {
        let [team, other] = [1, 2].map(|n| PrivateKey::from_scalar(&[n; 32]));
        let dir = tempfile::tempdir().unwrap();
        assert!(SignedRun::read(dir.path()).unwrap().is_none());
        let mut run = signed(&team);
        run.keep(dir.path()).unwrap();
        let read = SignedRun::read(dir.path()).unwrap().unwrap();
        assert_eq!((&read.repository, &read.manifest), (&run.repository, &run.manifest));
        assert_eq!(read.signatures, run.signatures);
        assert_eq!(read.record(), Digest::of(b"record"));
        assert!(read.covers(&run.manifest.files) && !read.covers(&[]));
        let trust = policy(&team).decide(REPOSITORY, &read.evidence());
        assert_eq!(trust, Ok(Trust::SignedBy("team.pub".into())));
        run.signatures = Collection::new(Kind::Signatures);
        run.signatures.sign(REPOSITORY, Digest::of(b"another"), &other);
        run.keep(dir.path()).unwrap();
        assert!(SignedRun::read(dir.path()).unwrap().is_none());
    }

    #[test]
    fn no_damage_is_taken_for_what_was_signed() {
        let team = PrivateKey::from_scalar(&[1; 32]);
        let (run, policy, dir) = (signed(&team), policy(&team), tempfile::tempdir().unwrap());
        run.keep(dir.path()).unwrap();
        let path = dir.path().join(file::SIGNATURES);
        let kept = fs::read(&path).unwrap();
        proptest!(|(at in any::<prop::sample::Index>(), value in any::<u8>())| {
            let mut bytes = kept.clone();
            bytes[at.index(kept.len())] = value;
            if let Ok(damaged) = SignedRun::parse(&bytes[..], &path)
                && policy.decide(REPOSITORY, &damaged.evidence()).is_ok()
            {
                prop_assert_eq!(damaged.manifest, run.manifest.clone());
            }
        });
    }
}
