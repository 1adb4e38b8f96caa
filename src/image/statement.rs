//! Where an image comes from: an in-toto statement with SLSA provenance. Its bytes follow from the
//! recipe, the lock, the trainer and the presets; it knows no time and no host.
//! <https://slsa.dev/spec/v1.0/provenance>

use serde_json::{Value, json};
use ybox_spec::{Digest, canonical};

use super::layer::PACKER_REVISION;
use super::sbom;
use crate::lock::{Lock, Recipe};

pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
pub const SLSA: &str = "https://slsa.dev/provenance/v1";
/// How `ybox build` makes an image, in `docs/formats.md`.
const BUILD_TYPE: &str = "urn:ybox:build:v1";

/// What an image was made from.
pub struct Origins<'a> {
    pub recipe: &'a Recipe,
    pub lock: &'a Lock,
    pub trainer: Digest,
    /// Path in the image and SHA-256, sorted.
    pub presets: &'a [(String, Digest)],
}

/// The statement about the image `manifest`.
pub fn image(origins: &Origins, manifest: &Digest) -> Vec<u8> {
    let recipe = origins.recipe;
    let predicate = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"recipe": recipe},
            "internalParameters": {
                "packer": PACKER_REVISION,
                "zstd": zstd::zstd_safe::version_number(),
            },
            "resolvedDependencies": dependencies(origins),
        },
        "runDetails": {
            "builder": {"id": format!("urn:ybox:packer:{PACKER_REVISION}")},
        },
    });
    let subject = json!({
        "name": format!("ybox/{}", recipe.variant),
        "digest": sha256(manifest),
    });
    statement(&[subject], SLSA, predicate)
}

/// The bytes of a statement.
pub fn statement(subjects: &[Value], predicate_type: &str, predicate: Value) -> Vec<u8> {
    canonical::to_bytes(&json!({
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": predicate_type,
        "predicate": predicate,
    }))
}

/// A digest as in-toto writes it.
pub fn sha256(digest: &Digest) -> Value {
    json!({"sha256": digest.hex()})
}

fn dependencies(origins: &Origins) -> Vec<Value> {
    let Origins { recipe, lock, trainer, presets } = origins;
    let text = lock.to_text();
    let mut dependencies = vec![
        // Ours are hashes of the content, whatever its form: not those of a file.
        json!({"name": "recipe", "digest": {"ybox.recipe.v1": recipe.digest().hex()}}),
        json!({"name": "lock", "digest": {
            "sha256": Digest::of(text.as_bytes()).hex(), "ybox.lock.v1": lock.digest().hex(),
        }}),
    ];
    let package =
        |uri: String, sha256_of: &Digest| json!({"uri": uri, "digest": sha256(sha256_of)});
    dependencies.extend(lock.debs.iter().map(|deb| package(sbom::deb_purl(deb), &deb.sha256)));
    let wheels = lock.wheels.iter();
    dependencies.extend(wheels.map(|wheel| package(sbom::wheel_purl(wheel), &wheel.sha256)));
    let file = |name: &str, digest: &Digest| json!({"name": name, "digest": sha256(digest)});
    dependencies.push(file(&recipe.trainer.to, trainer));
    dependencies.extend(presets.iter().map(|(path, digest)| file(path, digest)));
    dependencies
}
