//! From a recipe and its lock to an image in the store. Layers that are there already are not made
//! again, and their inputs not read.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oci_spec::image::{Descriptor, MediaType};
use serde::Serialize;
use ybox_spec::Digest;

use super::content::{Content, Spool};
use super::fit::{Files, Platform, Surroundings};
use super::input::{InputError, globs};
use super::layer::{Node, PACKER_REVISION, Tree};
use super::pack::{Kind, PackedLayer};
use super::provenance::Provenance;
use super::sbom::{self, Licences};
use super::statement::{self, Origins};
use super::{
    Attachment, IN_TOTO, ImageError, LOCK, Reference, SPDX, Store, StoredImage, base, deb, oci,
    pack, stand_in, wheel,
};
use crate::fetch::Inputs;
use crate::lock::{Lock, LockedDeb, LockedWheel, Placement, Recipe, StandIns, Wheel};

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

struct Planned<'a> {
    name: String,
    key: Digest,
    source: Source<'a>,
    packed: Option<PackedLayer>,
}

/// What a layer is made of.
enum Source<'a> {
    Base(Vec<&'a LockedDeb>),
    Wheels(Vec<(&'a Wheel, &'a LockedWheel)>),
    /// For the layers below.
    StandIns(&'a StandIns),
    /// Path in the image, content.
    Files {
        executable: bool,
        files: Vec<(String, Content)>,
    },
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
        let (tree, licences) = match &layer.source {
            Source::Base(debs) => base_tree(self.recipe, debs, inputs, &mut spool),
            Source::Wheels(wheels) => wheel_tree(wheels, inputs, &mut spool),
            Source::StandIns(stand_ins) => stand_in::make(self.recipe, stand_ins, below)
                .and_then(|files| file_tree(&layer.name, false, &contents(files)))
                .map(unlicensed),
            Source::Files { executable, files } => {
                file_tree(&layer.name, *executable, files).map(unlicensed)
            }
        }
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

fn planned<'a>(name: &str, inputs: &impl Serialize, source: Source<'a>) -> Planned<'a> {
    Planned { name: name.into(), key: pack::key(name, inputs), source, packed: None }
}

fn base_layer<'a>(recipe: &Recipe, lock: &'a Lock) -> Result<Planned<'a>, ImageError> {
    for package in &recipe.base.packages {
        if !lock.debs.iter().any(|deb| deb.name == *package) {
            return Err(ImageError::NotLocked(format!("package {package}")));
        }
    }
    let debs: Vec<_> = lock.debs.iter().collect();
    let inputs: Vec<_> = debs.iter().map(|deb| (&deb.name, deb.sha256)).collect();
    let inputs = (suite(recipe), &recipe.base.exclude, inputs);
    Ok(planned("base", &inputs, Source::Base(debs)))
}

fn suite(recipe: &Recipe) -> &str {
    recipe.base.suites.first().map_or("unknown", String::as_str)
}

/// One layer for each name that the recipe's wheels go to, in the order of their appearance.
fn wheel_layers<'a>(recipe: &'a Recipe, lock: &'a Lock) -> Result<Vec<Planned<'a>>, ImageError> {
    let mut layers: Vec<(&str, Vec<(&Wheel, &LockedWheel)>)> = Vec::new();
    for wheel in &recipe.wheels {
        let locked = lock.wheels.iter().find(|locked| locked.name == wheel.name);
        let locked =
            locked.ok_or_else(|| ImageError::NotLocked(format!("wheel {}", wheel.name)))?;
        match layers.iter_mut().find(|(name, _)| *name == wheel.layer) {
            Some((_, wheels)) => wheels.push((wheel, locked)),
            None => layers.push((&wheel.layer, vec![(wheel, locked)])),
        }
    }
    let layer = |(name, wheels): (&str, Vec<(&'a Wheel, &'a LockedWheel)>)| {
        let inputs: Vec<(Digest, &Vec<Placement>)> =
            wheels.iter().map(|(wheel, locked)| (locked.sha256, &wheel.files)).collect();
        planned(name, &inputs, Source::Wheels(wheels.clone()))
    };
    Ok(layers.into_iter().map(layer).collect())
}

/// What the stand-ins define follows from the layers below.
fn stand_in_layer<'a>(recipe: &Recipe, stand_ins: &'a StandIns, below: &[Planned]) -> Planned<'a> {
    let below: Vec<Digest> = below.iter().map(|layer| layer.key).collect();
    let inputs = (&recipe.variant, &recipe.base.architecture, stand_ins, below);
    planned(&stand_ins.layer, &inputs, Source::StandIns(stand_ins))
}

fn read_trainer(path: &Path) -> Result<Vec<u8>, ImageError> {
    fs::read(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => ImageError::NoTrainer(path.into()),
        _ => ImageError::io(format!("read the trainer {}", path.display()))(e),
    })
}

/// Path in the image and content, sorted.
fn preset_files(recipe: &Recipe, presets: &Path) -> Result<Vec<(String, Vec<u8>)>, ImageError> {
    let failed = || ImageError::io(format!("read the presets in {}", presets.display()));
    let mut files = Vec::new();
    for path in preset_paths(presets).map_err(failed())? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let to = format!("{}/{name}", recipe.presets.to.trim_end_matches('/'));
        files.push((to, fs::read(&path).map_err(failed())?));
    }
    if files.is_empty() {
        return Err(ImageError::NoPresets(presets.into()));
    }
    Ok(files)
}

/// The `*.yaml` files directly in a folder, sorted.
fn preset_paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn files_layer<'a>(name: &str, executable: bool, files: Vec<(String, Vec<u8>)>) -> Planned<'a> {
    let inputs: Vec<_> = files.iter().map(|(to, bytes)| (to.clone(), Digest::of(bytes))).collect();
    planned(name, &inputs, Source::Files { executable, files: contents(files) })
}

/// Files of no package, which have no licence of their own to name.
fn unlicensed(tree: Tree) -> (Tree, Licences) {
    (tree, Licences::new())
}

fn contents(files: Vec<(String, Vec<u8>)>) -> Vec<(String, Content)> {
    files.into_iter().map(|(to, bytes)| (to, Content::bytes(bytes))).collect()
}

fn base_tree(
    recipe: &Recipe,
    debs: &[&LockedDeb],
    inputs: &Inputs,
    spool: &mut Spool,
) -> Result<(Tree, Licences), ImageError> {
    let of_recipe = |source| ImageError::Input { input: "the recipe's base".into(), source };
    let exclude = globs(recipe.base.exclude.iter().map(String::as_str)).map_err(of_recipe)?;
    let mut tree = Tree::new();
    base::furnish(&mut tree, suite(recipe)).map_err(of_recipe)?;
    for deb in debs {
        let input = format!("the package {} {}", deb.name, deb.version);
        let path = inputs.debs.get(&deb.name).ok_or_else(|| not_there(&input))?;
        deb::read(path, &exclude, spool)
            .and_then(|package| base::install(&mut tree, deb, package))
            .map_err(|source| ImageError::Input { input, source })?;
    }
    // A package's copyright file may be another's: looked up when all of them are there.
    let licence = |deb: &&LockedDeb| {
        let input = format!("the package {} {}", deb.name, deb.version);
        let licence = sbom::of_deb(&tree, &deb.name);
        let licence = licence.map_err(|source| ImageError::Input { input, source })?;
        Ok::<_, ImageError>((deb.sha256, licence))
    };
    let licences = debs.iter().map(licence).collect::<Result<_, _>>()?;
    Ok((tree, licences))
}

fn wheel_tree(
    wheels: &[(&Wheel, &LockedWheel)],
    inputs: &Inputs,
    spool: &mut Spool,
) -> Result<(Tree, Licences), ImageError> {
    let mut tree = Tree::new();
    let mut licences = Licences::new();
    for (wheel, locked) in wheels {
        let input = format!("the wheel {}", locked.file);
        let path = inputs.wheels.get(&locked.name).ok_or_else(|| not_there(&input))?;
        let mut add = || -> Result<(), InputError> {
            for (path, node) in wheel::read(path, &wheel.files, spool)? {
                tree.insert(&path, node, &locked.name)?;
            }
            licences.insert(locked.sha256, wheel::licence(path)?);
            Ok(())
        };
        add().map_err(|source| ImageError::Input { input, source })?;
    }
    Ok((tree, licences))
}

fn file_tree(
    layer: &str,
    executable: bool,
    files: &[(String, Content)],
) -> Result<Tree, ImageError> {
    let mut tree = Tree::new();
    for (to, content) in files {
        let node = Node::File { executable, content: content.clone() };
        tree.insert(to.trim_start_matches('/'), node, layer)
            .map_err(|e| ImageError::Input { input: format!("the {layer}"), source: e.into() })?;
    }
    Ok(tree)
}

fn not_there(input: &str) -> ImageError {
    let missing = InputError::Missing("file on this machine".into());
    ImageError::Input { input: input.into(), source: missing }
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
