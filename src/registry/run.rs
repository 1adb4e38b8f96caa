//! A run in a registry: an artifact whose layers are the files of the run folder, and whose subject is
//! the image that it ran in. So it is found from there, and is pulled with the image.

use std::fs;
use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use oci_spec::image::{Descriptor, MediaType};
use ybox_spec::Digest;
use ybox_spec::record::{Artifact, Record};

use super::manifest::{LARGEST_MANIFEST, OCI_MANIFEST};
use super::pull::PARALLEL;
use super::{Fetched, Landing, Place, Pushed, RegistryError, Repository, Sent, Version};
use crate::image::{self, Store, oci};
use crate::record::{Parcel, RUN_TYPE, RunManifest, SignedRun};
use crate::trust::cosign::{Collection, Kind};
use crate::trust::{Policy, PrivateKey};
use crate::ui::download::Progress;

impl Repository {
    /// Sees to it that the repository has the image of a run, with what is attached to it, signed by
    /// `key` if there is one. Returns its descriptor.
    pub async fn push_image_of(
        &self,
        record: &Record,
        store: &Store,
        key: Option<&PrivateKey>,
        progress: &Progress,
    ) -> Result<Descriptor, RegistryError> {
        let recorded = record.circumstances.image.manifest;
        let mut images = store.with_config(&record.inputs.image)?;
        // The same image may be there with its layers compressed in another way.
        images.sort_by_key(|image| image.manifest != recorded);
        if let Some(image) = images.first() {
            self.push_image(store, image, progress).await?;
            self.push_attached(store, image, key).await?;
            return Ok(store.described(image)?.descriptor);
        }
        match self.find_manifest(&Version::Digest(recorded)).await? {
            Some(found) => {
                Ok(oci::describe(MediaType::from(found.media_type.as_str()), &found.bytes))
            }
            None => Err(RegistryError::NoImage {
                image: record.circumstances.image.reference.clone(),
                config: record.inputs.image,
                repository: self.name(),
            }),
        }
    }

    /// Attaches a run to its image, which the repository has, signed by `key` if there is one. `tag`
    /// names it beside its digest.
    pub async fn push_run(
        &self,
        folder: &Path,
        run: &RunManifest,
        tag: &str,
        key: Option<&PrivateKey>,
        progress: &Progress,
    ) -> Result<Sent, RegistryError> {
        self.refuse_other(tag).await?;
        if run.bytes.len() as u64 > LARGEST_MANIFEST {
            let what = format!("the list of the run's {} files", run.files.len());
            return Err(RegistryError::TooLarge { what, limit: LARGEST_MANIFEST });
        }
        let send = |file: Artifact| async move {
            let (path, bar) = (folder.join(&file.path), progress.lazy(&file.path, file.size));
            let pushed = self.push_file((&file.sha256, file.size), &path, &[], &bar).await?;
            bar.finish();
            Ok::<(Pushed, u64), RegistryError>((pushed, file.size))
        };
        let files = once(&run.files);
        let done: Vec<_> =
            stream::iter(files).map(send).buffer_unordered(PARALLEL).try_collect().await?;
        self.push_bytes(MediaType::EmptyJSON, oci::EMPTY.to_vec()).await?;
        // Under its tag only when its signatures are there.
        self.push_signatures(folder, run, key).await?;
        self.attach(&run.bytes, Some(tag)).await?;
        let mut sent = Sent::default();
        done.into_iter().for_each(|(pushed, size)| sent.count(pushed, size));
        Ok(sent)
    }

    /// Sends the signatures of a run that its folder keeps, and that of `key`. The folder keeps all
    /// that there are then.
    async fn push_signatures(
        &self,
        folder: &Path,
        run: &RunManifest,
        key: Option<&PrivateKey>,
    ) -> Result<(), RegistryError> {
        let digest = run.digest();
        let kept = SignedRun::read(folder)?.map(|kept| kept.signatures.about(&[digest]));
        let mut ours = kept.unwrap_or_else(|| Collection::new(Kind::Signatures));
        if let Some(key) = key {
            ours.sign(&self.name(), digest, key);
        }
        match self.push_collection(&digest, ours).await? {
            Some(all) => Ok(self.signed(run.clone(), &[all]).keep(folder)?),
            None => Ok(()),
        }
    }

    /// A run of this repository with what was found of its signatures.
    fn signed(&self, manifest: RunManifest, found: &[image::Artifact]) -> SignedRun {
        let signatures = Collection::gathered(Kind::Signatures, found);
        SignedRun { repository: self.name(), manifest, signatures }
    }

    /// Refuses a tag that names something else, such as an image.
    async fn refuse_other(&self, tag: &str) -> Result<(), RegistryError> {
        let version = Version::Tag(tag.to_owned());
        match self.find_manifest(&version).await? {
            Some(found) if !is_run(&found) => {
                Err(RegistryError::TagTaken { reference: self.called(&version) })
            }
            _ => Ok(()),
        }
    }

    /// The run that `place` names, with its signatures, if `policy` admits it by them.
    pub async fn find_admitted_run(
        &self,
        place: &Place,
        policy: Option<&Policy>,
    ) -> Result<SignedRun, RegistryError> {
        let run = self.find_run(place).await?;
        let found = self.pull_collection(&run.digest(), Kind::Signatures).await?;
        let signed = self.signed(run, found.as_slice());
        if let Some(policy) = policy {
            policy.judge_run(&signed.repository, &signed.evidence())?;
        }
        Ok(signed)
    }

    /// The run that `place` names: itself, or the only one of the image that it names.
    async fn find_run(&self, place: &Place) -> Result<RunManifest, RegistryError> {
        let found = self.pull_manifest(&place.version()).await?;
        if is_run(&found) {
            return Ok(RunManifest::parse(found.bytes)?);
        }
        let runs = self.referrers(&found.digest, Some(RUN_TYPE)).await?;
        match runs.as_slice() {
            [run] => {
                let version = Version::Digest(oci::digest_of(run)?);
                Ok(RunManifest::parse(self.pull_manifest(&version).await?.bytes)?)
            }
            [] => Err(RegistryError::NotFound(format!("run at {place}"))),
            several => {
                let runs = several.iter().map(|run| self.run_name(run)).collect();
                Err(RegistryError::SeveralRuns { place: place.to_string(), runs })
            }
        }
    }

    fn run_name(&self, run: &Descriptor) -> String {
        format!("{}@{}", self.name(), run.digest())
    }

    /// Brings the image of a run into the store, unless it has it: the manifest `image`.
    pub async fn pull_image_of(
        &self,
        record: &Record,
        image: Digest,
        store: &Store,
        policy: Option<&Policy>,
        progress: &Progress,
    ) -> Result<(), RegistryError> {
        if !store.with_config(&record.inputs.image)?.is_empty() {
            return Ok(());
        }
        self.pull_image_by((image, record.inputs.image), store, policy, progress).await
    }

    /// Brings the image with that manifest into the store, if it is the one with that config and
    /// `policy` admits it.
    pub async fn pull_image_by(
        &self,
        (manifest, config): (Digest, Digest),
        store: &Store,
        policy: Option<&Policy>,
        progress: &Progress,
    ) -> Result<(), RegistryError> {
        let place = Place { tag: None, digest: Some(manifest), ..self.place().clone() };
        let remote = self.find_image(&place).await?;
        if oci::digest_of(remote.config())? != config {
            return Err(RegistryError::OtherImage { what: place.to_string() });
        }
        let local = place.local();
        self.pull_admitted(&remote, store, &local, policy, progress).await.map(|_| ())
    }

    /// Brings the files of a run into `folder`, which is the caller's alone, and compares them with
    /// the record among them; its signatures are kept beside them. Returns the record, and the bytes
    /// that were not there before.
    pub async fn pull_run(
        &self,
        run: &SignedRun,
        folder: &Path,
        progress: &Progress,
    ) -> Result<(Record, u64), RegistryError> {
        let scratch = folder.join(".arriving");
        let make = |folder: &Path| {
            fs::create_dir_all(folder)
                .map_err(RegistryError::io(format!("make {}", folder.display())))
        };
        make(&scratch)?;
        let files = &run.manifest.files;
        for file in files {
            make(folder.join(&file.path).parent().unwrap_or(folder))?;
        }
        let scratch = &scratch;
        let fetch = |(number, file): (usize, Artifact)| async move {
            // Two files may have the same content: each arrives for itself.
            let arriving = scratch.join(number.to_string());
            make(&arriving)?;
            let landing = Landing::new(folder.join(&file.path), &arriving, &file.sha256);
            let bar = progress.lazy(&file.path, file.size);
            let came = self.pull_blob(&file.sha256, file.size, &landing, &bar).await?;
            bar.finish();
            Ok::<u64, RegistryError>(if came { file.size } else { 0 })
        };
        let numbered = files.clone().into_iter().enumerate();
        let received: Vec<u64> =
            stream::iter(numbered).map(fetch).buffer_unordered(PARALLEL).try_collect().await?;
        let _ = fs::remove_dir_all(scratch);
        let record = Parcel::check(folder, files)?;
        run.keep(folder)?;
        Ok((record, received.iter().sum()))
    }
}

/// One file of each content.
fn once(files: &[Artifact]) -> Vec<Artifact> {
    let mut files = files.to_vec();
    files.sort_by_key(|file| (std::cmp::Reverse(file.size), file.sha256));
    files.dedup_by_key(|file| file.sha256);
    files
}

fn is_run(found: &Fetched) -> bool {
    let manifest = if found.media_type == OCI_MANIFEST { found.manifest().ok() } else { None };
    manifest.is_some_and(|manifest| RunManifest::is_run(&manifest))
}
