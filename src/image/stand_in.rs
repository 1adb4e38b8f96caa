//! Stand-ins: small libraries in place of large ones that are linked against but never called. They
//! let the loader find every name, and end the process with a sentence when one is called after all.

use std::collections::BTreeSet;

use globset::GlobSet;

use super::ImageError;
use super::elf::Facts;
use super::input::{InputError, globs};
use super::pack::{Kind, PackedLayer};
use super::shared_object::{self, Function};
use super::symbols::Import;
use crate::lock::{Recipe, StandIn, StandIns};

/// The stand-ins' files, for the layers below them: path in the image, content. Each defines the
/// functions that these want of it.
pub fn make(
    recipe: &Recipe,
    stand_ins: &StandIns,
    below: &[PackedLayer],
) -> Result<Vec<(String, Vec<u8>)>, ImageError> {
    let architecture = &recipe.base.architecture;
    if architecture != "amd64" {
        let missing = InputError::Missing(format!("machine code for {architecture}"));
        return Err(ImageError::Input { input: "the stand-ins".into(), source: missing });
    }
    let facts: Vec<&Facts> = below.iter().flat_map(elves).collect();
    let folder = stand_ins.to.trim_end_matches('/');
    let file = |library: &StandIn| {
        let bytes = library_bytes(library, &recipe.variant, &stand_ins.instead, &facts);
        let failed = |source| {
            let input = format!("the stand-in {}", library.name);
            ImageError::Input { input, source }
        };
        Ok((format!("{folder}/{}", library.name), bytes.map_err(failed)?))
    };
    stand_ins.libraries.iter().map(file).collect()
}

fn elves(layer: &PackedLayer) -> impl Iterator<Item = &Facts> {
    layer.contents.values().filter_map(|kind| match kind {
        Kind::Elf(facts) => Some(facts),
        _ => None,
    })
}

fn library_bytes(
    library: &StandIn,
    variant: &str,
    instead: &str,
    facts: &[&Facts],
) -> Result<Vec<u8>, InputError> {
    let name = &library.name;
    if !facts.iter().any(|facts| facts.needed.contains(name)) {
        return Err(InputError::Missing("library that needs it".into()));
    }
    let pattern = globs([library.symbols.as_str()])?;
    let message = |symbol: &str| {
        format!(
            "ybox: {symbol} of {name} was called, for which the image of the recipe {variant} has \
             only a stand-in; use the recipe {instead}: ybox build {instead}\n"
        )
    };
    let function = |import: &Import| Function {
        name: import.symbol.clone(),
        version: import.version.as_ref().map(|version| version.name.clone()),
        message: message(&import.symbol),
    };
    let functions = wanted(name, &pattern, facts).map(function).collect();
    let versions: BTreeSet<String> =
        facts.iter().filter_map(|facts| facts.wants.get(name)).flatten().cloned().collect();
    Ok(shared_object::write(name, &functions, &versions))
}

/// Functions that are asked of the library by name, and those without a version that fit its
/// pattern and that nothing else defines. Variables can't be stood in for: the check of the whole
/// image names them.
fn wanted<'a>(
    library: &'a str,
    pattern: &'a GlobSet,
    facts: &'a [&Facts],
) -> impl Iterator<Item = &'a Import> {
    let imports = facts.iter().flat_map(|facts| &facts.imports).filter(|import| !import.data);
    imports.filter(move |import| match &import.version {
        Some(version) => version.library == library,
        None => {
            pattern.is_match(&import.symbol)
                && !facts.iter().any(|facts| facts.exports.serve(import))
        }
    })
}
