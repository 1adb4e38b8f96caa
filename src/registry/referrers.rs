//! What refers to a manifest: signatures, SBOMs, provenance, runs. Through the referrers API, or the
//! fallback tag `sha256-<hex>` where a registry has none (distribution specification 1.1).

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use reqwest::header::LINK;
use reqwest::{Response, StatusCode, Url};
use ybox_spec::Digest;

use super::client::{Access, read_limited, refusal};
use super::manifest::{LARGEST_MANIFEST, OCI_INDEX, OCI_MANIFEST, parse};
use super::{RegistryError, Repository, Version};
use crate::image::oci;

const LIST: &str = "the list of referrers";
/// Bytes of all its pages: as many as it may have under the fallback tag.
const LARGEST_LIST: u64 = LARGEST_MANIFEST;
/// Far more than anything has.
const MOST_PAGES: usize = 64;
/// Of artifacts that are listed without their type.
const MOST_LOOKED_UP: usize = 64;
/// Two pushes at once may overwrite each other's entry under the fallback tag.
const FALLBACK_TRIES: usize = 5;

impl Repository {
    /// The manifests that refer to `subject`, of one type or of all; in the registry's order. Their
    /// descriptors are the registry's word: only what is pulled by their digests is checked.
    pub async fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let mut found = match self.asked_referrers(subject).await? {
            Some(found) => found,
            None => self.fallback(subject).await?,
        };
        self.look_up_types(&mut found).await?;
        let fits = |d: &Descriptor| {
            let of = d.artifact_type().as_ref().map(MediaType::to_string);
            artifact_type.is_none_or(|wanted| of.as_deref() == Some(wanted))
        };
        found.retain(fits);
        Ok(found)
    }

    /// Stores a manifest that has a `subject`, under its digest or `tag`, and sees to it that it is
    /// found from there. What it refers to has to be there but for the subject.
    pub async fn attach(
        &self,
        bytes: &[u8],
        tag: Option<&str>,
    ) -> Result<Descriptor, RegistryError> {
        let what = "the manifest to be attached";
        let manifest: ImageManifest = parse(bytes, what)?;
        let subject = manifest.subject().as_ref();
        let subject = subject.ok_or_else(|| RegistryError::malformed(what, "it has no subject"))?;
        let subject = oci::digest_of(subject)?;
        let digest = Digest::of(bytes);
        let version = tag.map_or(Version::Digest(digest), |tag| Version::Tag(tag.to_owned()));
        let answer = self.put_manifest(&version, OCI_MANIFEST, bytes).await?;
        let descriptor = referrer(&manifest, bytes);
        if answer.get("oci-subject").is_none() {
            self.add_to_fallback(&subject, &descriptor).await?;
        }
        Ok(descriptor)
    }

    /// What the referrers API says; nothing where there is no such API.
    async fn asked_referrers(
        &self,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let doing = format!("list what refers to {}@{subject}", self.name());
        let mut url = self.url(&format!("referrers/{subject}"));
        let too_large = || RegistryError::TooLarge { what: LIST.to_owned(), limit: LARGEST_LIST };
        let (mut found, mut left) = (Vec::new(), LARGEST_LIST);
        for _ in 0..MOST_PAGES {
            let page = self.retry().run(async || self.page(&doing, &url).await).await?;
            let Some((bytes, next)) = page else { return Ok(None) };
            left = left.checked_sub(bytes.len() as u64).ok_or_else(too_large)?;
            let index: ImageIndex = parse(&bytes, LIST)?;
            found.extend(index.manifests().iter().cloned());
            match next {
                Some(next) if next.origin() == url.origin() => url = next,
                _ => return Ok(Some(found)),
            }
        }
        let why = format!("it has more than {MOST_PAGES} pages");
        Err(RegistryError::malformed(LIST, why))
    }

    /// One page of the list, and where the next one is.
    async fn page(
        &self,
        doing: &str,
        url: &Url,
    ) -> Result<Option<(Vec<u8>, Option<Url>)>, RegistryError> {
        let response = self.send_once(Access::Pull, |http| http.get(url.clone())).await?;
        match response.status() {
            StatusCode::OK if is_index(&response) => {
                let next = next_page(&response);
                let bytes = read_limited(response, LARGEST_LIST, LIST, self.host()).await?;
                Ok(Some((bytes, next)))
            }
            StatusCode::OK | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Ok(None),
            _ => Err(refusal(doing, response).await),
        }
    }

    /// Some registries list an artifact under the type of its config, as before version 1.1 of the
    /// specification. Where that is the empty document's, the manifest says what it is.
    async fn look_up_types(&self, listed: &mut [Descriptor]) -> Result<(), RegistryError> {
        for descriptor in listed.iter_mut().filter(|d| is_untyped(d)).take(MOST_LOOKED_UP) {
            let Ok(digest) = oci::digest_of(descriptor) else { continue };
            let found = self.find_manifest(&Version::Digest(digest)).await?;
            // What is no manifest, such as an index, is nothing of ybox's.
            if let Some(Ok(manifest)) = found.map(|found| found.manifest()) {
                descriptor.set_artifact_type(Some(artifact_type(&manifest)));
            }
        }
        Ok(())
    }

    /// What the index under the fallback tag lists.
    async fn fallback(&self, subject: &Digest) -> Result<Vec<Descriptor>, RegistryError> {
        match self.find_manifest(&fallback_tag(subject)).await? {
            Some(found) => Ok(found.index()?.manifests().clone()),
            None => Ok(Vec::new()),
        }
    }

    async fn add_to_fallback(
        &self,
        subject: &Digest,
        descriptor: &Descriptor,
    ) -> Result<(), RegistryError> {
        for _ in 0..FALLBACK_TRIES {
            let mut listed = self.fallback(subject).await?;
            if listed.iter().any(|d| d.digest() == descriptor.digest()) {
                return Ok(());
            }
            listed.push(descriptor.clone());
            let index = oci::bytes(&oci::index(listed));
            self.push_manifest(&fallback_tag(subject), OCI_INDEX, &index).await?;
        }
        let why = "others keep overwriting the list of what refers to it; try again";
        Err(RegistryError::malformed(format!("{}@{subject}", self.name()), why))
    }
}

fn fallback_tag(subject: &Digest) -> Version {
    Version::Tag(format!("sha256-{}", subject.hex()))
}

/// How a list of referrers describes a manifest.
fn referrer(manifest: &ImageManifest, bytes: &[u8]) -> Descriptor {
    let mut descriptor = oci::describe(MediaType::ImageManifest, bytes);
    descriptor.set_artifact_type(Some(artifact_type(manifest)));
    descriptor.set_annotations(manifest.annotations().clone());
    descriptor
}

fn artifact_type(manifest: &ImageManifest) -> MediaType {
    let of_config = || manifest.config().media_type().clone();
    manifest.artifact_type().clone().unwrap_or_else(of_config)
}

fn is_untyped(descriptor: &Descriptor) -> bool {
    descriptor.artifact_type().as_ref().is_none_or(|of_type| *of_type == MediaType::EmptyJSON)
}

fn is_index(response: &Response) -> bool {
    let header = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    header.is_some_and(|value| value.starts_with(OCI_INDEX))
}

/// The target of `Link: <URL>; rel="next"`.
fn next_page(response: &Response) -> Option<Url> {
    let header = response.headers().get(LINK)?.to_str().ok()?;
    let (target, rest) = header.strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| response.url().join(target).ok())?
}
