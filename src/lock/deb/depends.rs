//! Relations between packages (Debian policy 7.1), and whether a set of packages has all that it
//! depends on.

use super::packages::Stanza;
use super::version;

/// `name [(relation version)]`: one alternative of a dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Alternative {
    name: String,
    /// Operator and version.
    version: Option<(String, String)>,
}

/// A dependency that nothing in the set meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// Name and version of the package that has it.
    pub package: String,
    /// As written, e.g. `libc6 (>= 2.38)`.
    pub dependency: String,
    /// The package that would meet it.
    pub needs: String,
    /// Version of that package in the set, where it is there but doesn't do.
    pub has: Option<String>,
}

/// Every dependency among `packages` that isn't met there. What is only recommended doesn't count.
pub fn unmet(packages: &[Stanza]) -> Vec<Unmet> {
    packages
        .iter()
        .flat_map(|package| {
            let relations = package.pre_depends.split(',').chain(package.depends.split(','));
            relations.map(move |relation| (package, relation.trim()))
        })
        .filter(|(_, relation)| !relation.is_empty())
        .filter_map(|(package, relation)| unmet_relation(packages, package, relation))
        .collect()
}

fn unmet_relation(packages: &[Stanza], package: &Stanza, relation: &str) -> Option<Unmet> {
    let alternatives: Vec<Alternative> = relation.split('|').map(Alternative::parse).collect();
    if alternatives.iter().any(|a| packages.iter().any(|p| a.is_met_by(p))) {
        return None;
    }
    let needs = alternatives.first()?.name.clone();
    let has = packages.iter().find(|p| p.name == needs).map(|p| p.version.clone());
    Some(Unmet {
        package: format!("{} {}", package.name, package.version),
        dependency: relation.into(),
        needs,
        has,
    })
}

impl Alternative {
    fn parse(text: &str) -> Self {
        let (name, rest) = match text.find(['(', '[', '<']) {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let version = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(v, _)| {
            let (operator, version) =
                v.trim().split_at(v.trim().find(|c: char| !"<>=".contains(c)).unwrap_or(0));
            (operator.to_owned(), version.trim().to_owned())
        });
        // `:any` and the like say which architecture; the set has one.
        let name = name.trim().split(':').next().unwrap_or_default().to_owned();
        Self { name, version }
    }

    fn is_met_by(&self, package: &Stanza) -> bool {
        if package.name == self.name && self.accepts(&package.version) {
            return true;
        }
        package.provides.split(',').map(Self::parse).any(|provided| {
            provided.name == self.name
                && match &provided.version {
                    Some((_, version)) => self.accepts(version),
                    // An unversioned Provides meets only an unversioned dependency.
                    None => self.version.is_none(),
                }
        })
    }

    fn accepts(&self, found: &str) -> bool {
        let Some((operator, wanted)) = &self.version else { return true };
        let order = version::compare(found, wanted);
        match operator.as_str() {
            ">=" => order.is_ge(),
            ">>" => order.is_gt(),
            "<=" => order.is_le(),
            "<<" => order.is_lt(),
            "=" => order.is_eq(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, depends: &str, provides: &str) -> Stanza {
        Stanza {
            name: name.into(),
            version: version.into(),
            depends: depends.into(),
            provides: provides.into(),
            ..Stanza::default()
        }
    }

    #[test]
    fn a_closed_set_lacks_nothing() {
        let set = [
            package("gcc-14-base", "14.2.0-19", "", ""),
            package("libc6", "2.41-12+deb13u5", "libgcc-s1", ""),
            package("libgcc-s1", "14.2.0-19", "gcc-14-base (= 14.2.0-19), libc6 (>= 2.35)", ""),
        ];
        assert_eq!(unmet(&set), []);
    }

    #[test]
    fn tells_what_is_missing_and_what_is_too_old() {
        let set = [
            package("libc6", "2.36-9", "libgcc-s1:any | other [amd64]", ""),
            package("libstdc++6", "14.2.0-19", "libc6 (>= 2.38)", ""),
        ];
        let unmet = unmet(&set);
        assert_eq!((&unmet[0].needs[..], &unmet[0].has), ("libgcc-s1", &None));
        assert_eq!(unmet[1].package, "libstdc++6 14.2.0-19");
        assert_eq!(unmet[1].dependency, "libc6 (>= 2.38)");
        assert_eq!(unmet[1].has.as_deref(), Some("2.36-9"));
    }

    #[test]
    fn alternatives_and_provides_count() {
        let set = [
            package("a", "1", "x | b, virtual, old (>= 1:3)", ""),
            package("b", "1", "", "virtual, old (= 1:4)"),
        ];
        assert_eq!(unmet(&set), []);
        let set = [package("a", "1", "virtual (>= 1)", ""), package("b", "1", "", "virtual")];
        assert_eq!(unmet(&set).len(), 1);
    }
}
