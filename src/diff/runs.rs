//! Two runs, subject by subject.

use ybox_spec::Digest;
use ybox_spec::config::Numerics;
use ybox_spec::record::{Artifact, Record};

use super::cause::{Effect, ImageChange, Likely, Suspects, likely_cause};
use super::data::ItemChange;
use super::section::{Difference, Held, Outcome, Section, Subject, counted};
use super::{
    FirstDifference, Run, config, data, first_difference, host, image, metrics, origin, steps,
};

/// The images of two runs that have different ones.
pub enum Images {
    Read(Box<[image::Contents; 2]>, origin::Known),
    /// Why they cannot be looked at.
    NotHere(String),
}

/// Two runs compared.
pub struct Compared {
    pub sections: Vec<Section>,
    pub first_step: Option<FirstDifference>,
    pub likely_cause: Option<Likely>,
}

/// `look` reads the images, only where both have records, and these name different ones.
pub fn compare(a: &Run, b: &Run, look: impl FnOnce(&Record, &Record) -> Images) -> Compared {
    let records = a.record.as_ref().zip(b.record.as_ref());
    let images = records.filter(|(a, b)| a.inputs.image != b.inputs.image);
    let images = images.map(|(a, b)| look(a, b));
    let mut sections = image_sections(a, b, images.as_ref());
    let manifests = a.manifest.as_ref().zip(b.manifest.as_ref());
    let data = manifests.map(|(a, b)| data::changes(a, b));
    sections.push(data_section(a, b, data.as_deref()));
    sections.push(weights(a, b));
    sections.extend(config_sections(a, b));
    let both = |subject, compare: fn(&Record, &Record) -> Section| match records {
        Some((a, b)) => compare(a, b),
        None => Section::not_compared(subject, lacking(a, b, |run| run.record.is_none(), "record")),
    };
    sections.push(both(Subject::Host, |a, b| host::section(&a.circumstances, &b.circumstances)));
    sections.push(steps::section(a.steps.as_deref(), b.steps.as_deref()));
    sections.push(both(Subject::Results, results));
    sections.push(metrics::section(&a.metrics, &b.metrics));
    let chains = a.steps.as_deref().zip(b.steps.as_deref());
    let first_step = chains.and_then(|(a, b)| first_difference(a, b));
    let likely_cause = effect(&sections, first_step.is_some()).map(|effect| {
        let data = data.unwrap_or_default();
        likely_cause(&suspects(a, b, data, images.as_ref(), &sections), effect)
    });
    Compared { sections, first_step, likely_cause }
}

/// `A has no record`, `B has no record`, `neither has a record`.
fn lacking(a: &Run, b: &Run, lacks: fn(&Run) -> bool, what: &str) -> String {
    match (lacks(a), lacks(b)) {
        (true, true) => format!("neither has a {what}"),
        (true, false) => format!("A has no {what}"),
        (false, _) => format!("B has no {what}"),
    }
}

fn image_sections(a: &Run, b: &Run, images: Option<&Images>) -> Vec<Section> {
    let subjects = [Subject::Recipe, Subject::Lock, Subject::Image];
    let (Some(record_a), Some(record_b)) = (&a.record, &b.record) else {
        let why = lacking(a, b, |run| run.record.is_none(), "record");
        return subjects.map(|subject| Section::not_compared(subject, &why)).into();
    };
    match images {
        None => subjects.map(|subject| Section::same(subject, "")).into(),
        Some(Images::Read(contents, known)) => {
            let [a, b] = contents.as_ref();
            let [recipe, lock] = origin::sections(a, b, known);
            vec![recipe, lock, image::section(a, b)]
        }
        Some(Images::NotHere(why)) => {
            let [a, b] = [record_a, record_b].map(|r| Some(Held::Digest(r.inputs.image)));
            let differences = vec![Difference::new("digest", a, b)];
            let image = Section::differs(Subject::Image, why, differences);
            let origins = [Subject::Recipe, Subject::Lock];
            let mut sections: Vec<_> =
                origins.map(|subject| Section::not_compared(subject, why)).into();
            sections.push(image);
            sections
        }
    }
}

/// `changes`: of the data, where both have a manifest.
fn data_section(a: &Run, b: &Run, changes: Option<&[ItemChange]>) -> Section {
    if let Some(changes) = changes {
        let files = |run: &Run| run.manifest.as_ref().map_or(0, |data| data.entries().len());
        return data::section(changes, [a, b].map(files));
    }
    let root = |run: &Run| run.record.as_ref().map(|record| record.inputs.data);
    match (root(a), root(b)) {
        (Some(a), Some(b)) if a == b => Section::same(Subject::Data, ""),
        (Some(x), Some(y)) => {
            let root = Difference::new("root", Some(Held::Digest(x)), Some(Held::Digest(y)));
            let why = lacking(a, b, |run| run.manifest.is_none(), "readable data.manifest");
            Section::differs(Subject::Data, why, vec![root])
        }
        _ => {
            let why = lacking(a, b, |run| run.manifest.is_none(), "readable data.manifest");
            Section::not_compared(Subject::Data, why)
        }
    }
}

fn weights(a: &Run, b: &Run) -> Section {
    let (Some(x), Some(y)) = (&a.record, &b.record) else {
        let why = lacking(a, b, |run| run.record.is_none(), "record");
        return Section::not_compared(Subject::Weights, why);
    };
    match (x.inputs.weights, y.inputs.weights) {
        (None, None) => Section::same(Subject::Weights, "none: from scratch"),
        (Some(a), Some(b)) if a == b => Section::same(Subject::Weights, ""),
        (a, b) => {
            let held = |digest: Option<Digest>| digest.map(Held::Digest);
            let differences = vec![Difference::new("digest", held(a), held(b))];
            Section::differs(Subject::Weights, "", differences)
        }
    }
}

fn config_sections(a: &Run, b: &Run) -> [Section; 2] {
    match (&a.config, &b.config) {
        (Some(a), Some(b)) => [config::settings(a, b), config::compute(a, b)],
        _ => {
            let why = lacking(a, b, |run| run.config.is_none(), "readable config");
            [Subject::Config, Subject::Compute].map(|subject| Section::not_compared(subject, &why))
        }
    }
}

/// Result files by path.
fn results(a: &Record, b: &Record) -> Section {
    let (a, b) = (&a.outputs.artifacts, &b.outputs.artifacts);
    let find = |list: &[Artifact], path: &str| {
        let artifact = list.iter().find(|artifact| artifact.path == path)?;
        Some(Held::File { size: artifact.size, sha256: artifact.sha256, mode: None })
    };
    let mut paths: Vec<_> = a.iter().chain(b).map(|artifact| artifact.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    let differences: Vec<_> = paths
        .iter()
        .map(|path| Difference::new(*path, find(a, path), find(b, path)))
        .filter(|difference| difference.a != difference.b)
        .collect();
    match differences.len() {
        0 => Section::same(Subject::Results, counted(paths.len(), "file")),
        count => {
            let summary = format!("{count} of {}", counted(paths.len(), "file"));
            Section::differs(Subject::Results, summary, differences)
        }
    }
}

/// What is to be explained, if anything: a step, else a result of runs that went equally far.
fn effect(sections: &[Section], step: bool) -> Option<Effect> {
    let differs =
        |subject| sections.iter().any(|s| s.subject == subject && s.outcome == Outcome::Differs);
    match step {
        true => Some(Effect::Step),
        false if differs(Subject::Steps) => None,
        false if differs(Subject::Results) || differs(Subject::Metrics) => Some(Effect::Result),
        false => None,
    }
}

fn suspects(
    a: &Run,
    b: &Run,
    data: Vec<ItemChange>,
    images: Option<&Images>,
    sections: &[Section],
) -> Suspects {
    let circumstances = |run: &'_ Run| run.record.as_ref().map(|r| r.circumstances.host.clone());
    let is_portable =
        |run: &Run| run.config.as_ref().is_some_and(|c| c.compute().numerics == Numerics::Portable);
    let outcome =
        |subject, outcome| sections.iter().any(|s| s.subject == subject && s.outcome == outcome);
    Suspects {
        config: a.config.as_ref().zip(b.config.as_ref()).map_or(Vec::new(), |(a, b)| a.changes(b)),
        data,
        weights: outcome(Subject::Weights, Outcome::Differs),
        image: match images {
            None => ImageChange::Same,
            Some(Images::NotHere(_)) => ImageChange::Somehow,
            Some(Images::Read(contents, _)) => {
                let [a, b] = contents.as_ref();
                ImageChange::Parts(image::changed_parts(a, b))
            }
        },
        host: circumstances(a)
            .zip(circumstances(b))
            .map_or(Vec::new(), |(a, b)| host::changes(&a, &b)),
        portable: is_portable(a) && is_portable(b),
        not_compared: sections
            .iter()
            .filter(|s| (Subject::Image..Subject::Steps).contains(&s.subject))
            .filter(|s| s.outcome == Outcome::NotCompared)
            .map(|s| s.subject)
            .collect(),
    }
}
