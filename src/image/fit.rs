//! Would the programs and libraries of an image find each other? A pure function of what their
//! dynamic sections say, after ld.so(8): where each needed library is looked for, and which symbols
//! and symbol versions it must define.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use object::elf;

use super::driver;
use super::elf::Facts;
use super::misfit::Misfit;

/// What an image's programs run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// As in the ELF header.
    pub machine: u16,
    /// Name of Debian's folder of libraries.
    pub triplet: &'static str,
}

impl Platform {
    /// By Debian's name of the architecture.
    pub fn of(architecture: &str) -> Option<Self> {
        match architecture {
            "amd64" => Some(Self { machine: elf::EM_X86_64.0, triplet: "x86_64-linux-gnu" }),
            "arm64" => Some(Self { machine: elf::EM_AARCH64.0, triplet: "aarch64-linux-gnu" }),
            _ => None,
        }
    }

    /// Where the loader searches last.
    fn default_folders(&self) -> [String; 4] {
        let triplet = self.triplet;
        [format!("/lib/{triplet}"), format!("/usr/lib/{triplet}"), "/lib".into(), "/usr/lib".into()]
    }
}

/// What the image's programs find around them beside its files.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub platform: Platform,
    /// Folders of `LD_LIBRARY_PATH`.
    pub library_path: Vec<String>,
    /// Whether the libraries of NVIDIA's driver are handed to its containers.
    pub driver: bool,
}

/// Libraries that only a program opens which defines what they want: the C library's interface for
/// debuggers.
const FOR_THEIR_OPENER: [&str; 1] = ["libthread_db.so.1"];

/// The image as the loader sees it. Paths are relative to the root.
#[derive(Default)]
pub struct Files<'a> {
    pub elves: BTreeMap<&'a str, &'a Facts>,
    pub links: BTreeMap<&'a str, &'a str>,
}

/// A file and all that is loaded with it.
#[derive(Default)]
struct Loaded {
    files: BTreeSet<String>,
    /// Of each file: the needed library, and where it was found.
    needs: BTreeMap<String, Vec<(String, Option<String>)>>,
}

impl Files<'_> {
    /// What keeps `program` from starting, or another ELF file of the image from being loaded, by
    /// itself or by the program.
    pub fn check(&self, program: &str, around: &Surroundings) -> Vec<Misfit> {
        let Some(&facts) = self.elves.get(program) else {
            return vec![Misfit::NotAProgram { program: program.into() }];
        };
        let mut misfits: Vec<_> =
            self.elves.keys().filter_map(|path| driver::brought(path)).collect();
        if let Some(interpreter) = &facts.interpreter
            && self.resolve(interpreter).is_none_or(|path| !self.elves.contains_key(&*path))
        {
            let (program, interpreter) = (program.into(), interpreter.clone());
            misfits.push(Misfit::Interpreter { program, interpreter });
        }
        let started = self.load(program, around);
        let mut judged = BTreeSet::new();
        self.judge(&started, &started, around, &mut judged, &mut misfits);
        for path in self.elves.keys() {
            if !judged.contains(*path) {
                let opened = self.load(path, around);
                self.judge(&opened, &started, around, &mut judged, &mut misfits);
            }
        }
        misfits
    }

    /// Goes through `first` and what it needs, breadth first, as the loader does.
    fn load(&self, first: &str, around: &Surroundings) -> Loaded {
        let mut loaded = Loaded::default();
        // Under the names by which they were asked for.
        let mut named: BTreeMap<String, String> = BTreeMap::new();
        let mut queue = VecDeque::from([(first.to_owned(), Vec::<String>::new())]);
        while let Some((path, inherited)) = queue.pop_front() {
            if !loaded.files.insert(path.clone()) {
                continue;
            }
            let facts = self.elves[&*path];
            let folders = search_order(&path, facts, &inherited, around);
            let mut needs = Vec::new();
            for library in &facts.needed {
                let look = || folders.iter().find_map(|folder| self.library(folder, library));
                let found = named.get(library).cloned().or_else(look);
                if let Some(found) = &found
                    && named.insert(library.clone(), found.clone()).is_none()
                {
                    queue.push_back((found.clone(), passed_on(&path, facts, &inherited)));
                }
                needs.push((library.clone(), found));
            }
            loaded.needs.insert(path, needs);
        }
        loaded
    }

    /// Says what is wrong with files that were not `judged` before: each by itself, then their
    /// symbols, for which all that is loaded together is looked at.
    fn judge(
        &self,
        loaded: &Loaded,
        started: &Loaded,
        around: &Surroundings,
        judged: &mut BTreeSet<String>,
        misfits: &mut Vec<Misfit>,
    ) {
        let new: Vec<_> = loaded.needs.iter().filter(|(path, _)| !judged.contains(*path)).collect();
        let before = misfits.len();
        for (path, needs) in &new {
            judged.insert((*path).clone());
            misfits.extend(self.misfits_of(path, needs, around));
        }
        // The symbols of what is missing would only say the same again.
        if misfits.len() == before {
            let scope: Vec<&Facts> =
                loaded.files.union(&started.files).map(|path| self.elves[&**path]).collect();
            misfits.extend(
                new.iter().filter_map(|(path, needs)| self.missing_symbols(path, needs, &scope)),
            );
        }
    }

    fn misfits_of(
        &self,
        path: &str,
        needs: &[(String, Option<String>)],
        around: &Surroundings,
    ) -> Vec<Misfit> {
        let (facts, expected) = (self.elves[path], around.platform.machine);
        let mut misfits = Vec::new();
        if facts.machine != expected {
            misfits.push(Misfit::Machine { file: path.into(), found: facts.machine, expected });
        }
        for (library, found) in needs {
            match found {
                Some(found) => misfits.extend(self.missing_versions(path, facts, library, found)),
                None if around.driver && driver::brings(library) => {}
                None => {
                    let (file, library) = (path.into(), library.clone());
                    misfits.push(Misfit::Library { file, library });
                }
            }
        }
        misfits
    }

    fn missing_symbols(
        &self,
        path: &str,
        needs: &[(String, Option<String>)],
        scope: &[&Facts],
    ) -> Option<Misfit> {
        let drivers: Vec<&str> = needs
            .iter()
            .filter(|(library, found)| found.is_none() && driver::brings(library))
            .map(|(library, _)| &**library)
            .collect();
        let facts = self.elves[path];
        if FOR_THEIR_OPENER.iter().any(|name| facts.soname.as_deref() == Some(name)) {
            return None;
        }
        let imports = facts.imports.iter();
        let symbols: Vec<String> = imports
            .filter(|import| !scope.iter().any(|facts| facts.exports.serve(import)))
            .filter(|import| {
                !drivers.iter().any(|library| driver::defines(library, &import.symbol))
            })
            .map(ToString::to_string)
            .collect();
        (!symbols.is_empty()).then(|| Misfit::Symbols { file: path.into(), symbols })
    }

    fn library(&self, folder: &str, name: &str) -> Option<String> {
        self.resolve(&format!("{folder}/{name}")).filter(|path| self.elves.contains_key(&**path))
    }

    fn missing_versions(
        &self,
        file: &str,
        facts: &Facts,
        library: &str,
        found: &str,
    ) -> Vec<Misfit> {
        let defines = &self.elves[found].defines;
        let wanted = facts.wants.get(library).into_iter().flatten();
        // The loader takes a library without any versions as it is.
        let missing: Vec<_> =
            wanted.filter(|v| !defines.is_empty() && !defines.contains(*v)).collect();
        // The newest of each family says it all.
        let mut newest: BTreeMap<&str, &String> = BTreeMap::new();
        for version in missing {
            let kept = newest.entry(family(version)).or_insert(version);
            if numbers(version) > numbers(kept) {
                *kept = version;
            }
        }
        let misfit = |(family, wanted): (&str, &String)| Misfit::Version {
            file: file.into(),
            library: library.into(),
            wanted: wanted.clone(),
            newest: newest_of(defines, family),
        };
        newest.into_iter().map(misfit).collect()
    }

    /// Follows symbolic links, relative ones and folders' too. Nothing if the path leads in
    /// circles; whether there is a file at its end, the caller sees.
    fn resolve(&self, path: &str) -> Option<String> {
        const MOST_LINKS: usize = 40;
        let mut left: Vec<String> = path.split('/').rev().map(Into::into).collect();
        let mut done: Vec<String> = Vec::new();
        let mut followed = 0;
        while let Some(component) = left.pop() {
            match component.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(component),
            }
            if let Some(target) = self.links.get(&*done.join("/")) {
                followed += 1;
                if followed > MOST_LINKS {
                    return None;
                }
                done.pop();
                if target.starts_with('/') {
                    done.clear();
                }
                left.extend(target.split('/').rev().map(Into::into));
            }
        }
        Some(done.join("/"))
    }
}

fn search_order(
    path: &str,
    facts: &Facts,
    inherited: &[String],
    around: &Surroundings,
) -> Vec<String> {
    let own = expanded(path, &facts.search);
    let library_path = &around.library_path[..];
    let defaults = around.platform.default_folders();
    let has_runpath = !facts.inherited && !facts.search.is_empty();
    if has_runpath {
        [library_path, &own, &defaults].concat()
    } else {
        [&own, inherited, library_path, &defaults].concat()
    }
}

/// Folders that a library's own libraries are looked for in because of those above them.
fn passed_on(path: &str, facts: &Facts, inherited: &[String]) -> Vec<String> {
    let own = if facts.inherited { expanded(path, &facts.search) } else { Vec::new() };
    [&own, inherited].concat()
}

fn expanded(path: &str, folders: &[String]) -> Vec<String> {
    let origin = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("/{folder}"));
    folders.iter().map(|f| f.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin)).collect()
}

/// `GLIBC` of `GLIBC_2.34`.
fn family(version: &str) -> &str {
    version.rsplit_once('_').map_or(version, |(family, _)| family)
}

fn numbers(version: &str) -> Vec<u32> {
    let number = version.rsplit_once('_').map_or(version, |(_, number)| number);
    number.split('.').map_while(|n| n.parse().ok()).collect()
}

fn newest_of(defines: &BTreeSet<String>, wanted: &str) -> Option<String> {
    defines.iter().filter(|v| family(v) == wanted).max_by_key(|v| numbers(v)).cloned()
}

#[cfg(test)]
mod tests {
    use super::super::symbols::{Exports, Import, ImportVersion};
    use super::*;

    fn around() -> Surroundings {
        let platform = Platform::of("amd64").unwrap();
        Surroundings { platform, library_path: Vec::new(), driver: false }
    }

    fn strings<const N: usize>(items: [&str; N]) -> Vec<String> {
        items.map(String::from).to_vec()
    }

    fn libc() -> Facts {
        Facts {
            machine: 62,
            soname: Some("libc.so.6".into()),
            defines: strings(["GLIBC_2.2.5", "GLIBC_2.9", "GLIBC_2.41"]).into_iter().collect(),
            ..Facts::default()
        }
    }

    fn program(wanted: &str) -> Facts {
        Facts {
            machine: 62,
            interpreter: Some("/lib64/ld.so".into()),
            needed: strings(["libtorch.so", "libc.so.6"]),
            search: strings(["$ORIGIN/../lib"]),
            wants: [("libc.so.6".to_owned(), strings([wanted, "GLIBC_2.9"]).into_iter().collect())]
                .into(),
            ..Facts::default()
        }
    }

    fn check(program: &Facts, torch: &Facts) -> Vec<String> {
        let (libc, plain) = (libc(), Facts { machine: 62, ..Facts::default() });
        let files = Files {
            elves: [
                ("opt/bin/train", program),
                ("opt/lib/libtorch.so", torch),
                ("usr/lib/x86_64-linux-gnu/libc.so.6", &libc),
                ("usr/lib/x86_64-linux-gnu/ld.so", &plain),
                ("opt/extra/libextra.so", &plain),
            ]
            .into(),
            links: [
                ("lib64", "usr/lib64"),
                ("lib", "usr/lib"),
                ("usr/lib64/ld.so", "../lib/x86_64-linux-gnu/ld.so"),
            ]
            .into(),
        };
        files.check("opt/bin/train", &around()).iter().map(Misfit::to_string).collect()
    }

    fn torch() -> Facts {
        Facts { machine: 62, needed: strings(["libc.so.6"]), ..Facts::default() }
    }

    #[test]
    fn passes_a_program_whose_libraries_are_all_there() {
        assert_eq!(check(&program("GLIBC_2.41"), &torch()), Vec::<String>::new());
    }

    #[test]
    fn names_the_version_that_is_wanted_and_the_newest_there_is() {
        assert_eq!(
            check(&program("GLIBC_2.43"), &torch()),
            ["/opt/bin/train needs GLIBC_2.43 of libc.so.6; the image's has GLIBC_2.41 at most"]
        );
    }

    #[test]
    fn names_a_library_that_a_library_lacks() {
        let torch = Facts { needed: strings(["libgomp.so.1"]), ..torch() };
        assert_eq!(
            check(&program("GLIBC_2.9"), &torch),
            ["/opt/lib/libtorch.so needs libgomp.so.1, which the image lacks"]
        );
    }

    #[test]
    fn a_runpath_is_not_passed_on_and_an_rpath_is() {
        let torch = Facts { needed: strings(["libextra.so"]), ..torch() };
        let mut program = program("GLIBC_2.9");
        program.search = strings(["$ORIGIN/../lib", "/opt/extra"]);
        assert_eq!(
            check(&program, &torch),
            ["/opt/lib/libtorch.so needs libextra.so, which the image lacks"]
        );
        program.inherited = true;
        assert_eq!(check(&program, &torch), Vec::<String>::new());
    }

    fn import(symbol: &str, version: Option<(&str, &str)>) -> Import {
        let version = version
            .map(|(library, name)| ImportVersion { library: library.into(), name: name.into() });
        Import { symbol: symbol.into(), version, data: false }
    }

    /// A library that is opened at run time by a program that has these.
    fn opened(library: &Facts, driver: bool) -> Vec<String> {
        let exports = |symbol: &'static str| Exports::of([(symbol.as_bytes(), None)]);
        let program = Facts { machine: 62, exports: exports("of_program"), ..Facts::default() };
        let beside = Facts { exports: exports("of_other"), ..program.clone() };
        let files = Files {
            elves: [
                ("bin/train", &program),
                ("lib/libopened.so", library),
                ("lib/libother.so", &beside),
            ]
            .into(),
            links: BTreeMap::new(),
        };
        let around = Surroundings { driver, ..around() };
        files.check("bin/train", &around).iter().map(Misfit::to_string).collect()
    }

    #[test]
    fn names_the_symbols_that_nothing_loaded_with_a_library_defines() {
        let imports = vec![
            import("of_other", None),
            import("of_program", None),
            import("old", Some(("libother.so", "OTHER_1"))),
            import("x", None),
            import("y", None),
        ];
        let library = Facts { machine: 62, imports, ..Facts::default() };
        assert_eq!(
            opened(&library, false),
            ["/lib/libopened.so needs of_other, old@OTHER_1, x and 1 more symbols, which no \
              library loaded with it defines"]
        );
        let imports = library.imports[..2].to_vec();
        let linked = Facts { imports, needed: strings(["libother.so"]), ..library };
        assert_eq!(opened(&linked, false), Vec::<String>::new());
    }

    #[test]
    fn the_driver_s_libraries_come_from_the_host_and_are_never_inside() {
        let needed = strings(["libcuda.so.1"]);
        let imports = vec![import("cuInit", None), import("nvmlInit_v2", None)];
        let library = Facts { machine: 62, needed, imports, ..Facts::default() };
        assert_eq!(
            opened(&library, false),
            ["/lib/libopened.so needs libcuda.so.1, which the image lacks"]
        );
        assert_eq!(
            opened(&library, true),
            ["/lib/libopened.so needs nvmlInit_v2, which no library loaded with it defines"]
        );
        let plain = Facts { machine: 62, ..Facts::default() };
        let elves = [("bin/train", &plain), ("lib/libcuda.so.580.95.05", &plain)].into();
        let misfits = Files { elves, links: BTreeMap::new() }.check("bin/train", &around());
        assert_eq!(misfits, [Misfit::Driver { file: "lib/libcuda.so.580.95.05".into() }]);
    }

    #[test]
    fn refuses_another_machine_and_what_is_no_program() {
        let program = Facts { machine: 183, interpreter: None, ..program("GLIBC_2.9") };
        assert_eq!(
            check(&program, &torch()),
            ["/opt/bin/train is for the ELF machine 183, the image for 62"]
        );
        let misfits = Files::default().check("opt/bin/train", &around());
        assert_eq!(misfits[0].to_string(), "/opt/bin/train is not an ELF program");
    }
}
