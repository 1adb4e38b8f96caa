//! From a recipe and its lock to an image in the store. Layers that are there already are not made
//! again, and their inputs not read.

use std::collections::HashMap;
use std::path::Path;

use oci_spec::image::{Descriptor, MediaType};
use serde::Serialize;
use ybox_spec::Digest;

use super::content::Spool;
use super::fit::{Files, Platform, Surroundings};
use super::layer::PACKER_REVISION;
use super::pack::{Kind, PackedLayer};
use super::planned::{
    Planned, Source, base_layer, files_layer, preset_files, read_trainer, stand_in_layer,
    wheel_layers,
};
use super::provenance::Provenance;
use super::sbom::{self, Licences};
use super::statement::{self, Origins};
use super::{
    Attachment, IN_TOTO, ImageError, LOCK, Reference, SPDX, Store, StoredImage, oci, trees,
};
use crate::fetch::Inputs;
use crate::lock::{Lock, Recipe};

/// Is told how a build gets on.
pub trait Watch {
    /// A layer of that many bytes (uncompressed) is going to be written.
    fn begin(&self, layer: &str, bytes: u64);
    /// So many more bytes of it are written.
    fn advance(&self, bytes: u64);
    /// A layer is in the store.
    fn done(&self, layer: &BuiltLayer);
}

/// An image in the store, and what became of its layers.
#[derive(Debug, Clone)]
pub struct Built {
    pub image: StoredImage,
    /// Lowest first.
    pub layers: Vec<BuiltLayer>,
}

/// A layer of a built image.
#[derive(Debug, Clone, Serialize)]
pub struct BuiltLayer {
    pub name: String,
    /// Digest and size of the blob.
    pub digest: Digest,
    pub size: u64,
    /// Digest and size of the uncompressed tar.
    pub diff_id: Digest,
    pub unpacked: u64,
    /// Whether it was in the store before.
    pub reused: bool,
}

/// An image about to be built: which layers it has, and which of them are missing.
pub struct Assembly<'a> {
    store: &'a Store,
    recipe: &'a Recipe,
    lock: &'a Lock,
    layers: Vec<Planned<'a>>,
    trainer: Provenance,
    /// SHA-256 of the trainer's file.
    trainer_file: Digest,
    /// Path in the image and SHA-256.
    presets: Vec<(String, Digest)>,
}

impl<'a> Assembly<'a> {
    /// Looks at the recipe, the trainer and the presets on disk, and at what the store has.
    pub fn plan(
        store: &'a Store,
        recipe: &'a Recipe,
        lock: &'a Lock,
        trainer: &Path,
        presets: &Path,
    ) -> Result<Self, ImageError> {
        let mut layers = vec![base_layer(recipe, lock)?];
        layers.extend(wheel_layers(recipe, lock)?);
        if let Some(stand_ins) = &recipe.stand_ins {
            layers.push(stand_in_layer(recipe, stand_ins, &layers));
        }
        let program = read_trainer(trainer)?;
        let trainer = Provenance::of(&program);
        let trainer_file = Digest::of(&program);
        layers.push(files_layer("trainer", true, vec![(recipe.trainer.to.clone(), program)]));
        let files = preset_files(recipe, presets)?;
        let hashed = |(to, bytes): &(String, Vec<u8>)| (to.clone(), Digest::of(bytes));
        let presets = files.iter().map(hashed).collect();
        layers.push(files_layer("presets", false, files));
        for layer in &mut layers {
            layer.packed = store.packed(&layer.key);
        }
        Ok(Self { store, recipe, lock, layers, trainer, trainer_file, presets })
    }

    /// The part of the lock that has to be on this machine for `build`.
    pub fn wanted(&self) -> Lock {
        let mut wanted = Lock { debs: Vec::new(), wheels: Vec::new(), ..self.lock.clone() };
        for layer in self.layers.iter().filter(|layer| layer.packed.is_none()) {
            match &layer.source {
                Source::Base(debs) => wanted.debs.extend(debs.iter().map(|&d| d.clone())),
                Source::Wheels(wheels) => {
                    wanted.wheels.extend(wheels.iter().map(|(_, locked)| (*locked).clone()));
                }
                Source::StandIns(_) | Source::Files { .. } => {}
            }
        }
        wanted.wheels.sort_by(|a, b| a.name.cmp(&b.name));
        wanted.wheels.dedup();
        wanted
    }

    /// Writes the missing layers, checks that the image's programs and libraries fit together, and
    /// names the image. `inputs` are the files of `wanted`, their hashes checked. Nothing has the
    /// name before all of it is in the store.
    pub fn build(
        self,
        inputs: &Inputs,
        reference: &Reference,
        watch: &dyn Watch,
    ) -> Result<Built, ImageError> {
        self.store.blobs.sweep().map_err(ImageError::io("tidy the image store"))?;
        let mut packed = Vec::new();
        let mut layers = Vec::new();
        for layer in &self.layers {
            let (content, reused) = match &layer.packed {
                Some(there) => (there.clone(), true),
                None => (self.pack(layer, &packed, inputs, watch)?, false),
            };
            layers.push(built(&content, reused));
            watch.done(layers.last().expect("one was pushed just now"));
            packed.push(content);
        }
        check_shadowing(&packed)?;
        check_programs(self.recipe, &packed)?;
        let image = self.store_documents(reference, &packed)?;
        Ok(Built { image, layers })
    }

    fn pack(
        &self,
        layer: &Planned,
        below: &[PackedLayer],
        inputs: &Inputs,
        watch: &dyn Watch,
    ) -> Result<PackedLayer, ImageError> {
        let scratch = self.store.blobs.scratch();
        let mut spool = Spool::new(scratch).map_err(ImageError::io(format!(
            "make a scratch file in the image store {}",
            scratch.display()
        )))?;
        let (tree, licences) = trees::tree(layer, self.recipe, below, inputs, &mut spool)
            .map_err(|error| error.unpacking_in(scratch))?;
        watch.begin(&layer.name, tree.tar_size());
        let advanced = |bytes| watch.advance(bytes);
        self.store.pack(&layer.name, &layer.key, (&tree, licences), &advanced)
    }

    fn store_documents(
        &self,
        reference: &Reference,
        layers: &[PackedLayer],
    ) -> Result<StoredImage, ImageError> {
        let failed = || {
            let place = self.store.folder().display();
            ImageError::io(format!("write the image's config and manifest to {place}"))
        };
        let put = |bytes: &[u8]| self.store.blobs.put(bytes).map_err(failed());
        let config_bytes = oci::bytes(&oci::configuration(self.contents(layers)));
        let config = put(&config_bytes)?;
        let descriptors = layers.iter().map(blob_descriptor).collect();
        let described = oci::describe(MediaType::ImageConfig, &config_bytes);
        let manifest_bytes = oci::bytes(&oci::manifest(described, descriptors));
        let manifest = put(&manifest_bytes)?;
        let described = oci::describe(MediaType::ImageManifest, &manifest_bytes);
        let image = StoredImage { reference: reference.short(), manifest, config };
        self.store.attach(&image, &self.documents(&image, layers), true)?;
        self.store.tag(reference, described, &config)?;
        Ok(image)
    }

    /// What the image is made of and where it comes from.
    fn documents(&self, image: &StoredImage, layers: &[PackedLayer]) -> Vec<Attachment> {
        let licences: Licences = layers.iter().flat_map(|l| l.licences.clone()).collect();
        let subject = sbom::Subject {
            variant: &self.recipe.variant,
            config: image.config,
            lock: self.lock,
            licences: &licences,
            trainer: self.trainer_file,
        };
        let origins = Origins {
            recipe: self.recipe,
            lock: self.lock,
            trainer: self.trainer_file,
            presets: &self.presets,
        };
        vec![
            Attachment { kind: SPDX, bytes: sbom::document(&subject) },
            Attachment { kind: IN_TOTO, bytes: statement::image(&origins, &image.manifest) },
            Attachment { kind: LOCK, bytes: self.lock.to_text().into_bytes() },
        ]
    }

    fn contents(&self, layers: &[PackedLayer]) -> oci::Contents {
        let environment = self.recipe.environment.iter().map(|(k, v)| format!("{k}={v}"));
        oci::Contents {
            architecture: self.recipe.base.architecture.clone(),
            environment: environment.collect(),
            entrypoint: self.recipe.entrypoint.clone(),
            labels: labels(self.recipe, self.lock, &self.trainer),
            diff_ids: layers.iter().map(|layer| layer.diff_id).collect(),
        }
    }
}

/// Labels with the digests of what an image was made from.
pub const RECIPE_LABEL: &str = "ybox.recipe";
pub const LOCK_LABEL: &str = "ybox.lock";

/// The recipe's labels and ours, which say what the image was made from and what it supports.
fn labels(recipe: &Recipe, lock: &Lock, trainer: &Provenance) -> HashMap<String, String> {
    let mut labels: HashMap<_, _> = recipe.labels.clone().into_iter().collect();
    labels.insert(RECIPE_LABEL.into(), recipe.digest().to_string());
    labels.insert(LOCK_LABEL.into(), lock.digest().to_string());
    let mut add = |key: &str, value: String| _ = labels.insert(format!("ybox.{key}"), value);
    add("variant", recipe.variant.clone());
    add("packer", PACKER_REVISION.to_string());
    let Provenance { toolchain, cargo_lock } = trainer.clone();
    for (key, value) in [("trainer.toolchain", toolchain), ("trainer.cargo-lock", cargo_lock)] {
        if let Some(value) = value {
            add(key, value);
        }
    }
    if !recipe.supports.capabilities.is_empty() {
        add("supports.capabilities", recipe.supports.capabilities.join(","));
    }
    if let Some(driver) = &recipe.supports.driver {
        add("supports.driver", driver.clone());
    }
    labels
}

fn blob_descriptor(layer: &PackedLayer) -> Descriptor {
    oci::descriptor(MediaType::ImageLayerZstd, &layer.digest, layer.size)
}

fn built(layer: &PackedLayer, reused: bool) -> BuiltLayer {
    BuiltLayer {
        name: layer.name.clone(),
        digest: layer.digest,
        size: layer.size,
        diff_id: layer.diff_id,
        unpacked: layer.unpacked,
        reused,
    }
}

/// No layer may hide what a lower one brings.
fn check_shadowing(layers: &[PackedLayer]) -> Result<(), ImageError> {
    let mut owners: HashMap<&str, (&str, bool)> = HashMap::new();
    for layer in layers {
        for (path, kind) in &layer.contents {
            let folder = *kind == Kind::Folder;
            match owners.insert(path, (&layer.name, folder)) {
                Some((lower, was_folder)) if !(folder && was_folder) => {
                    let (path, lower, upper) = (path.clone(), lower.into(), layer.name.clone());
                    return Err(ImageError::Shadowed { path, lower, upper });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn check_programs(recipe: &Recipe, layers: &[PackedLayer]) -> Result<(), ImageError> {
    let architecture = &recipe.base.architecture;
    let platform =
        Platform::of(architecture).ok_or_else(|| ImageError::Architecture(architecture.clone()))?;
    let mut files = Files::default();
    for (path, kind) in layers.iter().flat_map(|layer| &layer.contents) {
        match kind {
            Kind::Elf(facts) => {
                files.elves.insert(path, facts);
            }
            Kind::Link(target) => {
                files.links.insert(path, target);
            }
            Kind::Folder | Kind::File => {}
        }
    }
    let library_path = recipe.environment.get("LD_LIBRARY_PATH").map_or("", String::as_str);
    let library_path: Vec<_> =
        library_path.split(':').filter(|f| !f.is_empty()).map(String::from).collect();
    let program = recipe.trainer.to.trim_start_matches('/');
    let driver = recipe.supports.driver.is_some();
    match files.check(program, &Surroundings { platform, library_path, driver }) {
        misfits if misfits.is_empty() => Ok(()),
        misfits => Err(ImageError::Misfits(misfits)),
    }
}
