//! What differs between two runs, images, locks or recipes, in causal order: from what images are
//! made of to the final metrics. Comparing is pure; how it is shown is `ui`'s and `report`'s.

mod cause;
mod config;
mod data;
mod error;
mod host;
mod image;
mod kind;
mod lock;
mod metrics;
mod origin;
mod run;
mod runs;
mod section;
mod side;
mod steps;
mod values;

use std::path::Path;

use serde::Serialize;
use ybox_spec::Digest;
use ybox_spec::record::Record;
use ybox_spec::results::Table;

pub use cause::{Cause, Likely, first_few};
pub use data::{ItemChange, changes as data_changes};
pub use error::DiffError;
pub use host::{HostChange, changes as host_changes};
pub use kind::Kind;
pub use run::Run;
pub use runs::Compared;
pub use section::{Bits, Difference, Held, Outcome, Section, Subject};
pub use side::Side;
pub use steps::{FirstDifference, Quantity, first_difference};

use crate::image::{ImageError, Store, StoredImage};
use crate::record::RunState;
use runs::Images;

/// Two things compared.
#[derive(Debug, Serialize)]
pub struct Diff {
    pub kind: Kind,
    pub a: Named,
    pub b: Named,
    /// In causal order.
    pub sections: Vec<Section>,
    /// Of two runs: the first step that differs.
    pub first_step: Option<FirstDifference>,
    /// Of two runs whose steps or results differ.
    pub likely_cause: Option<Likely>,
    /// What stands in the way of comparing or trusting a side.
    pub notes: Vec<String>,
    /// Of two runs: `results.csv` of each.
    #[serde(skip)]
    pub curves: [Table; 2],
}

/// What a side is called and how it is known.
#[derive(Debug, Serialize)]
pub struct Named {
    pub name: String,
    /// How far a run has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<RunState>,
    /// Run hash, config digest of an image, or hash of a lock or recipe; an unrecorded run has none.
    pub digest: Option<Digest>,
}

/// Where things are looked for.
pub struct Surroundings<'a> {
    pub directory: &'a Path,
    /// Holds the image store.
    pub home: &'a Path,
    /// Its recipes and locks tell what is in those that images name.
    pub project: Option<&'a Path>,
}

/// Finds and compares what two names mean.
pub fn diff(a: &str, b: &str, with: &Surroundings) -> Result<Diff, DiffError> {
    let (a_name, a) = Side::find(with.directory, with.home, a)?;
    let (b_name, b) = Side::find(with.directory, with.home, b)?;
    let (kind, named) = (a.kind(), [named(&a_name, &a), named(&b_name, &b)]);
    let (mut notes, mut curves) = (Vec::new(), [Table::default(), Table::default()]);
    let compared = match (a, b) {
        (Side::Run(a), Side::Run(b)) => {
            let noted = |side, run: &Run| -> Vec<String> {
                run.notes.iter().map(|note| format!("{side}: {note}")).collect()
            };
            notes = [noted("A", &a), noted("B", &b)].concat();
            let compared = runs(&a, &b, with);
            curves = [a.results, b.results];
            compared
        }
        (Side::Image(a), Side::Image(b)) => only(compare_images(&a, &b, with)?),
        (Side::Lock(a), Side::Lock(b)) => {
            only(vec![lock::recipe_of_locks(&a, &b), lock::lock(&a, &b)])
        }
        (Side::Recipe(a), Side::Recipe(b)) => only(vec![lock::recipe(&a, &b)]),
        (a, b) => {
            let (a, b) = ((a_name, a.kind()), (b_name, b.kind()));
            return Err(DiffError::Kinds { a, b });
        }
    };
    let [a, b] = named;
    let Compared { sections, first_step, likely_cause } = compared;
    Ok(Diff { kind, a, b, sections, first_step, likely_cause, notes, curves })
}

/// Compares two runs that were read.
pub fn runs(a: &Run, b: &Run, with: &Surroundings) -> Compared {
    runs::compare(a, b, |a, b| images(a, b, with))
}

fn only(sections: Vec<Section>) -> Compared {
    Compared { sections, first_step: None, likely_cause: None }
}

fn named(name: &str, side: &Side) -> Named {
    let (state, digest) = match side {
        Side::Run(run) => (Some(run.state), run.record.as_ref().map(|record| record.run_hash)),
        Side::Image(image) => (None, Some(image.config)),
        Side::Lock(lock) => (None, Some(lock.digest())),
        Side::Recipe(recipe) => (None, Some(recipe.digest())),
    };
    Named { name: name.to_owned(), state, digest }
}

fn compare_images(
    a: &StoredImage,
    b: &StoredImage,
    with: &Surroundings,
) -> Result<Vec<Section>, DiffError> {
    let [a, b] = image::read(&Store::under(with.home)?, [a, b])?;
    let [recipe, lock] = origin::sections(&a, &b, &origin::Known::of(with.project));
    Ok(vec![recipe, lock, image::section(&a, &b)])
}

/// The images of two runs, as far as the local store has them.
fn images(a: &Record, b: &Record, with: &Surroundings) -> Images {
    let image = |record: &Record| StoredImage {
        reference: record.circumstances.image.reference.clone(),
        manifest: record.circumstances.image.manifest,
        config: record.inputs.image,
    };
    let read = || image::read(&Store::under(with.home)?, [&image(a), &image(b)]);
    match read() {
        Ok(contents) => Images::Read(Box::new(contents), origin::Known::of(with.project)),
        Err(ImageError::MissingBlob(_)) => {
            Images::NotHere("the local store has not both images".into())
        }
        Err(error) => Images::NotHere(error.to_string()),
    }
}

impl Diff {
    /// Whether nothing differs that was compared, apart from where it happened.
    pub fn is_same(&self) -> bool {
        self.subjects(Outcome::Differs).all(|subject| subject == Subject::Host)
    }

    /// Subjects with an outcome.
    pub fn subjects(&self, outcome: Outcome) -> impl Iterator<Item = Subject> {
        self.sections.iter().filter(move |s| s.outcome == outcome).map(|s| s.subject)
    }
}
