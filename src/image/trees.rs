//! The files of a planned layer: taken out of packages and wheels, or written by ybox.

use super::content::{Content, Spool};
use super::input::{InputError, globs};
use super::layer::{Node, Tree};
use super::pack::PackedLayer;
use super::planned::{Planned, Source, contents, suite};
use super::sbom::{self, Licences};
use super::{ImageError, base, deb, stand_in, wheel};
use crate::fetch::Inputs;
use crate::lock::{LockedDeb, LockedWheel, Recipe, Wheel};

/// The tree of `layer`, which lies on the layers `below`, and the licences of the packages in it.
pub fn tree(
    layer: &Planned,
    recipe: &Recipe,
    below: &[PackedLayer],
    inputs: &Inputs,
    spool: &mut Spool,
) -> Result<(Tree, Licences), ImageError> {
    match &layer.source {
        Source::Base(debs) => base_tree(recipe, debs, inputs, spool),
        Source::Wheels(wheels) => wheel_tree(wheels, inputs, spool),
        Source::StandIns(stand_ins) => stand_in::make(recipe, stand_ins, below)
            .and_then(|files| file_tree(&layer.name, false, &contents(files)))
            .map(unlicensed),
        Source::Files { executable, files } => {
            file_tree(&layer.name, *executable, files).map(unlicensed)
        }
    }
}

/// Files of no package, which have no licence of their own to name.
fn unlicensed(tree: Tree) -> (Tree, Licences) {
    (tree, Licences::new())
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
