//! Two configs: the settings, and apart from them those that decide the bits of the arithmetic.

use ybox_spec::config::{Config, KeyChange};

use super::section::{Section, Subject, counted};
use super::values;

/// Settings but for attention path, numerics and threads.
pub fn settings(a: &Config, b: &Config) -> Section {
    let changes = a.changes(b).into_iter().filter(|change| !change.is_compute()).collect();
    section(Subject::Config, changes, String::new())
}

/// Attention path, numerics and threads.
pub fn compute(a: &Config, b: &Config) -> Section {
    let changes = a.changes(b).into_iter().filter(KeyChange::is_compute).collect();
    let compute = a.compute();
    let same = format!(
        "{} attention, {} numerics, {}",
        compute.attention.name(),
        compute.numerics.name(),
        counted(compute.threads as usize, "thread")
    );
    section(Subject::Compute, changes, same)
}

fn section(subject: Subject, changes: Vec<KeyChange>, same: String) -> Section {
    match changes.len() {
        0 => Section::same(subject, same),
        count => {
            let differences =
                |c: &KeyChange| values::changes_at(&c.key, c.a.as_ref(), c.b.as_ref());
            let differences = changes.iter().flat_map(differences).collect();
            Section::differs(subject, counted(count, "key"), differences)
        }
    }
}
