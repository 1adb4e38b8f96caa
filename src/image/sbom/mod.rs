//! An image's bill of materials: an SPDX 2.3 document in JSON with every Debian package, wheel and
//! the trainer. Its bytes follow from the lock and the packages; it knows no time and no random
//! names. <https://spdx.github.io/spdx-spec/v2.3/>

mod licence;
mod purl;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use ybox_spec::{Digest, canonical};

use super::layer::PACKER_REVISION;
use crate::lock::{Lock, LockedDeb, LockedWheel};

pub use licence::{LONGEST_TEXT, Licence, Licences, of_deb, of_wheel};
pub use purl::{deb as deb_purl, wheel as wheel_purl};

/// What is attached to an image under this type, and is in this form.
pub const MEDIA_TYPE: &str = "application/spdx+json";
/// A time that says nothing, as in images' configs.
const CREATED: &str = "1970-01-01T00:00:00Z";
const NO_ASSERTION: &str = "NOASSERTION";

/// What the document is about.
pub struct Subject<'a> {
    pub variant: &'a str,
    /// The image's config: its identity.
    pub config: Digest,
    pub lock: &'a Lock,
    pub licences: &'a Licences,
    /// SHA-256 of the trainer's file.
    pub trainer: Digest,
}

/// The document's bytes.
pub fn document(subject: &Subject) -> Vec<u8> {
    let mut texts = Texts::default();
    let packages = packages(subject, &mut texts);
    let root = "SPDXRef-image";
    let contains = packages.iter().skip(1).map(|package| {
        json!({
            "spdxElementId": root,
            "relationshipType": "CONTAINS",
            "relatedSpdxElement": package["SPDXID"],
        })
    });
    let describes = json!({
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": root,
    });
    let relationships: Vec<Value> = std::iter::once(describes).chain(contains).collect();
    canonical::to_bytes(&json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("ybox {}", subject.variant),
        "documentNamespace": format!("urn:ybox:sbom:sha256:{}", subject.config.hex()),
        "creationInfo": {
            "created": CREATED,
            "creators": [format!("Tool: ybox-packer-{PACKER_REVISION}")],
        },
        "packages": packages,
        "relationships": relationships,
        "hasExtractedLicensingInfos": texts.extracted(),
    }))
}

/// The image first, then what is in it.
fn packages(subject: &Subject, texts: &mut Texts) -> Vec<Value> {
    let nothing = Licence::default();
    let mut packages = vec![image(subject)];
    for deb in &subject.lock.debs {
        let licence = subject.licences.get(&deb.sha256).unwrap_or(&nothing);
        packages.push(deb_package(deb, licence, texts));
    }
    for wheel in &subject.lock.wheels {
        let licence = subject.licences.get(&wheel.sha256).unwrap_or(&nothing);
        packages.push(wheel_package(wheel, licence, texts));
    }
    packages.push(trainer(subject));
    packages
}

fn image(subject: &Subject) -> Value {
    let name = format!("ybox/{}", subject.variant);
    let mut package = package("image", &name, &subject.config.hex()[..12], subject.config);
    package["primaryPackagePurpose"] = "CONTAINER".into();
    package["comment"] = "version and checksum are those of the image's config".into();
    package
}

fn trainer(subject: &Subject) -> Value {
    let version = &subject.trainer.hex()[..12];
    let mut package = package("ytrain", "ytrain", version, subject.trainer);
    package["licenseDeclared"] = env!("CARGO_PKG_LICENSE").into();
    package["primaryPackagePurpose"] = "APPLICATION".into();
    package["comment"] = "the trainer; its version is the beginning of its checksum".into();
    package
}

fn deb_package(deb: &LockedDeb, licence: &Licence, texts: &mut Texts) -> Value {
    let id = format!("deb-{}", deb.name);
    let mut package = package(&id, &deb.name, &deb.version, deb.sha256);
    package["packageFileName"] = file_name(&deb.path).into();
    describe(&mut package, purl::deb(deb), licence, texts);
    package
}

fn wheel_package(wheel: &LockedWheel, licence: &Licence, texts: &mut Texts) -> Value {
    let id = format!("wheel-{}", wheel.name);
    let mut package = package(&id, &wheel.name, &wheel.version, wheel.sha256);
    package["packageFileName"] = wheel.file.as_str().into();
    describe(&mut package, purl::wheel(wheel), licence, texts);
    package
}

fn package(id: &str, name: &str, version: &str, sha256: Digest) -> Value {
    json!({
        "SPDXID": format!("SPDXRef-{}", spdx_id(id)),
        "name": name,
        "versionInfo": version,
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": false,
        "checksums": [{"algorithm": "SHA256", "checksumValue": sha256.hex()}],
        "licenseConcluded": NO_ASSERTION,
        "licenseDeclared": NO_ASSERTION,
        "copyrightText": NO_ASSERTION,
    })
}

fn describe(package: &mut Value, purl: String, licence: &Licence, texts: &mut Texts) {
    package["externalRefs"] = json!([{
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": purl,
    }]);
    if let Some(declared) = &licence.declared {
        package["licenseComments"] = format!("the package declares: {declared}").into();
    }
    let declared = licence.expression().map(str::to_owned);
    let declared = declared.or_else(|| licence.text.as_ref().map(|text| texts.name(text)));
    package["licenseDeclared"] = declared.unwrap_or_else(|| NO_ASSERTION.into()).into();
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Letters, digits, dots and dashes are all that identifiers may have.
fn spdx_id(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let spelt = |c: char| if plain(c) { c.to_string() } else { format!(".{:x}.", u32::from(c)) };
    text.chars().map(spelt).collect()
}

/// Licence texts that have no SPDX name, by the name that the document gives them.
#[derive(Default)]
struct Texts(BTreeMap<String, String>);

impl Texts {
    /// Packages that bring the same text share one.
    fn name(&mut self, text: &str) -> String {
        let name = format!("LicenseRef-{}", &Digest::of(text.as_bytes()).hex()[..16]);
        self.0.insert(name.clone(), text.to_owned());
        name
    }

    fn extracted(&self) -> Vec<Value> {
        let entry =
            |(name, text): (&String, &String)| json!({"licenseId": name, "extractedText": text});
        self.0.iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn subject<'a>(lock: &'a Lock, licences: &'a Licences) -> Subject<'a> {
        let config = Digest::of(b"config");
        Subject { variant: "cpu", config, lock, licences, trainer: Digest::of(b"trainer") }
    }

    fn committed() -> Lock {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/cpu.lock");
        Lock::read(&path).unwrap().unwrap()
    }

    #[test]
    fn every_input_of_the_lock_is_in_it_with_version_hash_and_purl() {
        let lock = committed();
        let own = Licence { declared: None, text: Some("own words".into()) };
        let licences = Licences::from([1, 2].map(|n| (lock.debs[n].sha256, own.clone())));
        let bytes = document(&subject(&lock, &licences));
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        let packages = document["packages"].as_array().unwrap();
        assert_eq!(packages.len(), 2 + lock.debs.len() + lock.wheels.len());
        let libc = packages.iter().find(|p| p["name"] == "libc6").unwrap();
        let purl = &libc["externalRefs"][0]["referenceLocator"];
        assert!(purl.as_str().unwrap().starts_with("pkg:deb/debian/libc6@2."), "{purl}");
        assert_eq!(libc["checksums"][0]["checksumValue"], lock.debs[1].sha256.hex());
        let texts = document["hasExtractedLicensingInfos"].as_array().unwrap();
        assert_eq!(texts.len(), 1, "one text, however many packages bring it");
        assert_eq!(texts[0]["licenseId"], libc["licenseDeclared"]);
        assert_eq!(bytes, super::document(&subject(&lock, &licences)));
    }

    #[test]
    fn identifiers_are_plain_and_stay_apart() {
        assert_eq!(spdx_id("deb-libstdc++6"), "deb-libstdc.2b..2b.6");
        assert_ne!(spdx_id("a_b"), spdx_id("a-b"));
    }
}
