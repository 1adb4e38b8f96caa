//! Would the programs and libraries of an image find each other? Facts are read from the dynamic
//! sections when a layer is packed; the check itself is a pure function of them, and follows
//! ld.so(8): where each needed library is looked for, and which symbol versions it must define.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;

use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionTable};
use object::{Endianness, ReadCache, ReadRef};
use serde::{Deserialize, Serialize};

use super::content::Content;

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

/// What the loader reads of an ELF file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub machine: u16,
    pub interpreter: Option<String>,
    pub soname: Option<String>,
    pub needed: Vec<String>,
    /// Folders of DT_RUNPATH, else those of DT_RPATH.
    pub search: Vec<String>,
    /// Whether `search` holds for the libraries' own libraries too (DT_RPATH).
    pub inherited: bool,
    /// Symbol versions defined.
    pub defines: BTreeSet<String>,
    /// Symbol versions wanted, by library.
    pub wants: BTreeMap<String, BTreeSet<String>>,
}

/// Facts of a file; none if it is not an ELF file.
pub fn facts(content: &Content) -> io::Result<Option<Facts>> {
    let read = |e: object::read::Error| io::Error::new(io::ErrorKind::InvalidData, e);
    match content {
        Content::Bytes(bytes) if is_elf(bytes) => parse(&bytes[..]).map(Some).map_err(read),
        Content::Region(region) => {
            let cache = ReadCache::new(region.clone());
            let elf = cache.read_bytes_at(0, 4).is_ok_and(is_elf);
            if elf { parse(&cache).map(Some).map_err(read) } else { Ok(None) }
        }
        _ => Ok(None),
    }
}

/// The name by which programs ask for the library in `file`; none if it is none or has none.
pub fn soname(file: std::fs::File) -> Option<String> {
    let cache = ReadCache::new(file);
    let is_library = cache.read_bytes_at(0, 4).is_ok_and(is_elf);
    is_library.then(|| parse(&cache).ok()?.soname)?
}

fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

fn parse<'d, R: ReadRef<'d>>(data: R) -> object::read::Result<Facts> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let mut facts = Facts { machine: header.e_machine(endian).0, ..Facts::default() };
    for segment in header.program_headers(endian, data)? {
        if let Some(path) = segment.interpreter(endian, data)? {
            facts.interpreter = Some(text(path));
        }
    }
    let sections = header.sections(endian, data)?;
    read_dynamic(&mut facts, endian, data, &sections)?;
    read_versions(&mut facts, endian, data, &sections)?;
    Ok(facts)
}

type Sections<'d, R> = SectionTable<'d, FileHeader64<Endianness>, R>;

fn read_dynamic<'d, R: ReadRef<'d>>(
    facts: &mut Facts,
    endian: Endianness,
    data: R,
    sections: &Sections<'d, R>,
) -> object::read::Result<()> {
    let (mut rpath, mut runpath) = (None, None);
    let table = sections.dynamic_table(endian, data)?;
    for entry in table.iter() {
        let slot = match entry.tag {
            elf::DT_NEEDED => {
                facts.needed.push(text(table.string(entry)?));
                continue;
            }
            elf::DT_SONAME => &mut facts.soname,
            elf::DT_RPATH => &mut rpath,
            elf::DT_RUNPATH => &mut runpath,
            _ => continue,
        };
        *slot = Some(text(table.string(entry)?));
    }
    facts.inherited = runpath.is_none() && rpath.is_some();
    let search = runpath.or(rpath).unwrap_or_default();
    facts.search = search.split(':').filter(|f| !f.is_empty()).map(Into::into).collect();
    Ok(())
}

fn read_versions<'d, R: ReadRef<'d>>(
    facts: &mut Facts,
    endian: Endianness,
    data: R,
    sections: &Sections<'d, R>,
) -> object::read::Result<()> {
    if let Some((mut definitions, strings)) = sections.gnu_verdef(endian, data)? {
        let strings = sections.strings(endian, data, strings)?;
        while let Some((_, mut names)) = definitions.next()? {
            if let Some(name) = names.next()? {
                facts.defines.insert(text(name.name(endian, strings)?));
            }
        }
    }
    if let Some((mut needs, strings)) = sections.gnu_verneed(endian, data)? {
        let strings = sections.strings(endian, data, strings)?;
        while let Some((need, mut versions)) = needs.next()? {
            let wanted = facts.wants.entry(text(need.file(endian, strings)?)).or_default();
            while let Some(version) = versions.next()? {
                if !version.vna_flags.get(endian).contains(elf::VER_FLG_WEAK) {
                    wanted.insert(text(version.name(endian, strings)?));
                }
            }
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The image as the loader sees it. Paths are relative to the root.
#[derive(Default)]
pub struct Files<'a> {
    pub elves: BTreeMap<&'a str, &'a Facts>,
    pub links: BTreeMap<&'a str, &'a str>,
}

/// Something that would keep a program from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    NotAProgram { program: String },
    Machine { file: String, found: u16, expected: u16 },
    Interpreter { program: String, interpreter: String },
    Library { file: String, library: String },
    Version { file: String, library: String, wanted: String, newest: Option<String> },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAProgram { program } => write!(f, "/{program} is not an ELF program"),
            Self::Machine { file, found, expected } => {
                write!(f, "/{file} is for the ELF machine {found}, the image for {expected}")
            }
            Self::Interpreter { program, interpreter } => {
                write!(f, "/{program} is started by {interpreter}, which the image lacks")
            }
            Self::Library { file, library } => {
                write!(f, "/{file} needs {library}, which the image lacks")
            }
            Self::Version { file, library, wanted, newest } => {
                write!(f, "/{file} needs {wanted} of {library}; the image's ")?;
                match newest {
                    Some(newest) => write!(f, "has {newest} at most"),
                    None => write!(f, "has no such versions"),
                }
            }
        }
    }
}

impl Files<'_> {
    /// What keeps `program` from starting, or another ELF file of the image from being loaded.
    pub fn check(&self, program: &str, on: Platform, library_path: &[String]) -> Vec<Misfit> {
        let Some(&facts) = self.elves.get(program) else {
            return vec![Misfit::NotAProgram { program: program.into() }];
        };
        let mut misfits = Vec::new();
        if let Some(interpreter) = &facts.interpreter
            && self.resolve(interpreter).is_none_or(|path| !self.elves.contains_key(&*path))
        {
            let (program, interpreter) = (program.into(), interpreter.clone());
            misfits.push(Misfit::Interpreter { program, interpreter });
        }
        let mut visited = BTreeSet::new();
        self.load(program, on, library_path, &mut visited, &mut misfits);
        for path in self.elves.keys() {
            if !visited.contains(*path) {
                self.load(path, on, library_path, &mut visited, &mut misfits);
            }
        }
        misfits
    }

    /// Goes through `first` and what it needs, breadth first, as the loader does.
    fn load(
        &self,
        first: &str,
        on: Platform,
        library_path: &[String],
        visited: &mut BTreeSet<String>,
        misfits: &mut Vec<Misfit>,
    ) {
        // Under the names by which they were asked for.
        let mut loaded: BTreeMap<String, String> = BTreeMap::new();
        let mut queue = VecDeque::from([(first.to_owned(), Vec::<String>::new())]);
        while let Some((path, inherited)) = queue.pop_front() {
            let facts = self.elves[&*path];
            if !visited.insert(path.clone()) && path != first {
                continue;
            }
            if facts.machine != on.machine {
                let (file, found) = (path.clone(), facts.machine);
                misfits.push(Misfit::Machine { file, found, expected: on.machine });
            }
            let folders = search_order(&path, facts, &inherited, library_path, on);
            for library in &facts.needed {
                let found = loaded
                    .get(library)
                    .cloned()
                    .or_else(|| folders.iter().find_map(|folder| self.library(folder, library)));
                match found {
                    Some(found) => {
                        misfits.extend(self.missing_versions(&path, facts, library, &found));
                        if loaded.insert(library.clone(), found.clone()).is_none() {
                            queue.push_back((found, passed_on(&path, facts, &inherited)));
                        }
                    }
                    None => misfits
                        .push(Misfit::Library { file: path.clone(), library: library.clone() }),
                }
            }
        }
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
    library_path: &[String],
    on: Platform,
) -> Vec<String> {
    let own = expanded(path, &facts.search);
    let defaults = on.default_folders();
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
    use super::*;

    fn amd64() -> Platform {
        Platform::of("amd64").unwrap()
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
        files.check("opt/bin/train", amd64(), &[]).iter().map(Misfit::to_string).collect()
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

    #[test]
    fn refuses_another_machine_and_what_is_no_program() {
        let program = Facts { machine: 183, interpreter: None, ..program("GLIBC_2.9") };
        assert_eq!(
            check(&program, &torch()),
            ["/opt/bin/train is for the ELF machine 183, the image for 62"]
        );
        let misfits = Files::default().check("opt/bin/train", amd64(), &[]);
        assert_eq!(misfits[0].to_string(), "/opt/bin/train is not an ELF program");
    }
}
