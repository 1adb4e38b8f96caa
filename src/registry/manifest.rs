//! Manifests and indexes of a repository: small documents, read whole, with bounded size.

use oci_spec::image::{ImageIndex, ImageManifest};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use ybox_spec::Digest;

use super::client::{Access, read_limited, refusal};
use super::{RegistryError, Repository, Version};
use crate::image::oci::Outline;
use crate::strict;

/// What registries take at most (the distribution specification asks for 4 MiB at least).
pub const LARGEST_MANIFEST: u64 = 4 << 20;

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest or an index as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Computed from `bytes`, and equal to what was asked for.
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl Fetched {
    pub fn is_index(&self) -> bool {
        [OCI_INDEX, DOCKER_INDEX].contains(&self.media_type.as_str())
    }

    /// The document, which must be a manifest.
    pub fn manifest(&self) -> Result<ImageManifest, RegistryError> {
        self.expect(&[OCI_MANIFEST, DOCKER_MANIFEST])?;
        parse(&self.bytes, &self.what())
    }

    /// The document, which must be an index.
    pub fn index(&self) -> Result<ImageIndex, RegistryError> {
        self.expect(&[OCI_INDEX, DOCKER_INDEX])?;
        parse(&self.bytes, &self.what())
    }

    fn expect(&self, types: &[&str]) -> Result<(), RegistryError> {
        let found = self.media_type.clone();
        match types.contains(&found.as_str()) {
            true => Ok(()),
            false => Err(RegistryError::MediaType { what: self.what(), found }),
        }
    }

    fn what(&self) -> String {
        format!("the manifest {}", self.digest)
    }

    /// Header and document have to agree on what it is: a document that could be read as both
    /// manifest and index would mean two things under one digest.
    fn check(self) -> Result<Self, RegistryError> {
        let outline: Outline = parse(&self.bytes, &self.what())?;
        let says = outline.media_type.as_ref().is_none_or(|says| *says == self.media_type);
        if says && !outline.is_both() {
            return Ok(self);
        }
        let found = outline.media_type.unwrap_or_else(|| "manifest and index at once".into());
        Err(RegistryError::MediaType { what: self.what(), found })
    }
}

impl Repository {
    /// A manifest or index, its digest checked. Error: [`RegistryError::NotFound`].
    pub async fn pull_manifest(&self, version: &Version) -> Result<Fetched, RegistryError> {
        let missing = || RegistryError::NotFound(self.called(version));
        self.find_manifest(version).await?.ok_or_else(missing)
    }

    /// The same; nothing if the registry has none.
    pub async fn find_manifest(&self, version: &Version) -> Result<Option<Fetched>, RegistryError> {
        self.retry().run(async || self.find_once(version).await).await
    }

    async fn find_once(&self, version: &Version) -> Result<Option<Fetched>, RegistryError> {
        let doing = format!("read {}", self.called(version));
        let url = self.url(&format!("manifests/{version}"));
        let accept = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX].join(", ");
        let request = |http: &reqwest::Client| http.get(url.clone()).header(ACCEPT, &accept);
        let response = self.send_once(Access::Pull, request).await?;
        match response.status() {
            StatusCode::OK => self.read_manifest(version, response).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refusal(&doing, response).await),
        }
    }

    async fn read_manifest(
        &self,
        version: &Version,
        response: Response,
    ) -> Result<Fetched, RegistryError> {
        let what = self.called(version);
        let media_type = header(response.headers(), CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let told = header(response.headers(), "docker-content-digest");
        let bytes = read_limited(response, LARGEST_MANIFEST, &what, self.host()).await?;
        let digest = Digest::of(&bytes);
        let expected = match version {
            Version::Digest(digest) => Some(*digest),
            Version::Tag(_) => told.and_then(|told| told.parse().ok()),
        };
        match expected.filter(|expected| *expected != digest) {
            Some(expected) => Err(RegistryError::WrongDigest { what, expected, found: digest }),
            None => Fetched { digest, media_type, bytes }.check(),
        }
    }

    /// Stores a manifest or index under a tag or its digest. What it refers to has to be there.
    /// Returns its digest. Whatever has a `subject` goes through [`Repository::attach`].
    pub async fn push_manifest(
        &self,
        version: &Version,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Digest, RegistryError> {
        self.put_manifest(version, media_type, bytes).await.map(|_| Digest::of(bytes))
    }

    /// The registry's answer to a stored manifest.
    pub(super) async fn put_manifest(
        &self,
        version: &Version,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<HeaderMap, RegistryError> {
        let doing = format!("store {}", self.called(version));
        let url = self.url(&format!("manifests/{version}"));
        let response = self
            .send(&doing, Access::Push, |http| {
                http.put(url.clone()).header(CONTENT_TYPE, media_type).body(bytes.to_vec())
            })
            .await?;
        if !matches!(response.status(), StatusCode::CREATED | StatusCode::OK) {
            return Err(refusal(&doing, response).await);
        }
        let told = header(response.headers(), "docker-content-digest");
        let found: Option<Digest> = told.and_then(|told| told.parse().ok());
        match found.filter(|found| *found != Digest::of(bytes)) {
            Some(found) => {
                let expected = Digest::of(bytes);
                Err(RegistryError::WrongDigest { what: self.called(version), expected, found })
            }
            None => Ok(response.headers().clone()),
        }
    }

    /// Whether the registry has a manifest of that digest.
    pub async fn has_manifest(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let doing = format!("ask for {}@{digest}", self.name());
        let url = self.url(&format!("manifests/{digest}"));
        let accept = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX].join(", ");
        let request = |http: &reqwest::Client| http.head(url.clone()).header(ACCEPT, &accept);
        let response = self.send(&doing, Access::Pull, request).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refusal(&doing, response).await),
        }
    }

    /// `HOST/REPOSITORY:TAG` or `...@DIGEST`.
    pub fn called(&self, version: &Version) -> String {
        match version {
            Version::Tag(tag) => format!("{}:{tag}", self.name()),
            Version::Digest(digest) => format!("{}@{digest}", self.name()),
        }
    }
}

/// Parses a registry's `bytes`, which are `what`.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, RegistryError> {
    strict::parse(bytes).map_err(|e| RegistryError::malformed(what, e))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
