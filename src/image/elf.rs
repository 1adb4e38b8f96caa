//! What the loader reads of an ELF file, taken from its dynamic sections when a layer is packed.
//! Whether the files of an image fit together is `fit`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};
use serde::{Deserialize, Serialize};

use super::content::Content;
use super::sections::{Sections, text};
use super::symbols::{self, Exports, Import};

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
    /// Symbols wanted, sorted.
    pub imports: Vec<Import>,
    pub exports: Exports,
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
    (facts.imports, facts.exports) = symbols::read(endian, data, &sections)?;
    Ok(facts)
}

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
