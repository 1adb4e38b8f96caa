//! Two locks, input by input, and two recipes, key by key.

use serde_json::json;

use super::section::{Difference, Section, Subject, counted};
use super::values;
use crate::lock::{self, Change, Kind, Lock, Recipe};

pub fn recipe(a: &Recipe, b: &Recipe) -> Section {
    let value =
        |recipe: &Recipe| serde_json::to_value(recipe).expect("a recipe is plain data with names");
    let differences = values::changes(&value(a), &value(b));
    match differences.len() {
        0 => Section::same(Subject::Recipe, ""),
        count => Section::differs(Subject::Recipe, counted(count, "key"), differences),
    }
}

/// The recipes that two locks were made from, of which a lock has the digest alone.
pub fn recipe_of_locks(a: &Lock, b: &Lock) -> Section {
    match a.recipe == b.recipe {
        true => Section::same(Subject::Recipe, ""),
        false => Section::by_digest(Subject::Recipe, a.recipe, b.recipe),
    }
}

pub fn lock(a: &Lock, b: &Lock) -> Section {
    let inputs = lock::changes(Some(a), b);
    let mut differences: Vec<_> = inputs.iter().map(difference).collect();
    if a.packer != b.packer {
        let [a, b] = [a, b].map(|lock| Some(json!(lock.packer)));
        differences.push(Difference::values("packer revision", a, b));
    }
    let all = counted(a.debs.len() + a.wheels.len(), "input");
    match (differences.len(), inputs.len()) {
        (0, _) => Section::same(Subject::Lock, all),
        (_, 0) => Section::differs(Subject::Lock, "the packer alone", differences),
        (_, count) => Section::differs(Subject::Lock, counted(count, "input"), differences),
    }
}

/// The version before and after; where it is the same, also what else differs.
fn difference(change: &Change) -> Difference {
    let kind = match change.kind {
        Kind::Deb => "deb",
        Kind::Wheel => "wheel",
    };
    let same_version = change.from == change.to;
    let after = |version: &String| match same_version {
        true => json!(format!("{version} with other {}", change.differs.join(", "))),
        false => json!(version),
    };
    let before = change.from.as_ref().map(|version| json!(version));
    Difference::values(format!("{kind} {}", change.name), before, change.to.as_ref().map(after))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn inputs_are_told_by_version_or_by_what_else_differs() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/cpu.lock");
        let a = Lock::read(&path).unwrap().unwrap();
        let mut b = a.clone();
        b.debs[1].version = "9".into();
        b.wheels[0].size += 1;
        b.packer += 1;
        let section = lock(&a, &b);
        assert_eq!(section.summary, "2 inputs");
        let told: Vec<_> = section
            .differences
            .iter()
            .map(|d| (d.item.as_str(), d.b.as_ref().unwrap().to_string()))
            .collect();
        let version = &a.wheels[0].version;
        let wheel = format!("wheel {}", a.wheels[0].name);
        assert_eq!(told[0], ("deb libc6", "9".into()));
        assert_eq!(told[1], (wheel.as_str(), format!("{version} with other size")));
        assert_eq!(told[2].0, "packer revision");
        assert_eq!(lock(&a, &a).summary, "7 inputs");
        assert_eq!(recipe_of_locks(&a, &b).summary, "");
    }
}
