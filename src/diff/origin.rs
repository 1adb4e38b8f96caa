//! What images were made from: recipes and locks by their digests, and by their content where the
//! project at hand has them.

use std::path::Path;

use ybox_spec::Digest;

use super::image::Contents;
use super::lock;
use super::section::{Section, Subject};
use crate::lock::{Lock, Recipe, Variants};

/// The recipes and locks of a project.
#[derive(Debug, Default)]
pub struct Known {
    recipes: Vec<Recipe>,
    locks: Vec<Lock>,
}

impl Known {
    /// Those that can be read; without a project none.
    pub fn of(project: Option<&Path>) -> Self {
        let Ok(variants) = Variants::of(project) else { return Self::default() };
        let names = variants.names();
        Self {
            recipes: names.iter().filter_map(|name| variants.recipe(name).ok()).collect(),
            locks: names.iter().filter_map(|name| variants.lock(name).ok().flatten()).collect(),
        }
    }

    fn recipe(&self, digest: Digest) -> Option<&Recipe> {
        self.recipes.iter().find(|recipe| recipe.digest() == digest)
    }

    fn lock(&self, digest: Digest) -> Option<&Lock> {
        self.locks.iter().find(|lock| lock.digest() == digest)
    }
}

/// Recipe and lock of two images.
pub fn sections(a: &Contents, b: &Contents, known: &Known) -> [Section; 2] {
    let recipes = |a, b| Some(lock::recipe(known.recipe(a)?, known.recipe(b)?));
    let locks = |a, b| Some(lock::lock(known.lock(a)?, known.lock(b)?));
    [
        section(Subject::Recipe, [a.recipe, b.recipe], recipes),
        section(Subject::Lock, [a.lock, b.lock], locks),
    ]
}

fn section(
    subject: Subject,
    digests: [Option<Digest>; 2],
    by_content: impl Fn(Digest, Digest) -> Option<Section>,
) -> Section {
    match digests {
        [Some(a), Some(b)] if a == b => Section::same(subject, ""),
        [Some(a), Some(b)] => by_content(a, b).unwrap_or_else(|| Section::by_digest(subject, a, b)),
        [None, None] => Section::not_compared(subject, "the images' labels name none"),
        [None, _] => Section::not_compared(subject, "A's labels name none"),
        [_, None] => Section::not_compared(subject, "B's labels name none"),
    }
}
