//! The dynamic symbols of an ELF file: those that it wants of other files, and those that it
//! defines. Who finds whom is `fit`'s.

use object::elf;
use object::read::elf::{SectionHeader, Sym};
use object::{Endianness, ReadRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::sections::{Sections, text};

/// A symbol without which the file cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Import {
    pub symbol: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ImportVersion>,
    /// Whether it is a variable: its size belongs to who uses it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub data: bool,
}

/// A version, and the library that is said to define it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImportVersion {
    pub library: String,
    pub name: String,
}

impl std::fmt::Display for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{}", self.symbol, version.name),
            None => f.write_str(&self.symbol),
        }
    }
}

/// Which symbols a file defines. Kept as sorted 64-bit hashes: a large library has a hundred
/// thousand, with names of some eighty bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exports(Vec<u64>);

impl Exports {
    /// Of names with their versions.
    pub fn of<'a>(symbols: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Self {
        let mut hashes = Vec::new();
        for (name, version) in symbols {
            hashes.push(hash(name, None));
            hashes.push(hash(name, Some(version.unwrap_or_default())));
        }
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    /// Whether the loader would take a symbol from here. One that is defined without a version
    /// serves every version; one that is asked for without a version is served by any (ld.so's
    /// `check_match`).
    pub fn serve(&self, import: &Import) -> bool {
        let name = import.symbol.as_bytes();
        let has = |version: Option<&[u8]>| self.0.binary_search(&hash(name, version)).is_ok();
        match &import.version {
            Some(version) => has(Some(version.name.as_bytes())) || has(Some(b"")),
            None => has(None),
        }
    }
}

/// FNV-1a over `NAME` or `NAME@VERSION`. It is stored, so that it must stay the same.
fn hash(name: &[u8], version: Option<&[u8]>) -> u64 {
    let separator = version.map(|_| &b"@"[..]).unwrap_or_default();
    let bytes = [name, separator, version.unwrap_or_default()];
    bytes.into_iter().flatten().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl Serialize for Exports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits: String = self.0.iter().map(|hash| format!("{hash:016x}")).collect();
        serializer.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for Exports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let hash = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok()?;
            u64::from_str_radix(digits, 16).ok()
        };
        let hashes: Option<Vec<u64>> = digits.as_bytes().chunks(16).map(hash).collect();
        hashes.map(Self).ok_or_else(|| de::Error::custom("not hashes of 16 hex digits"))
    }
}

/// What a file wants, sorted, and what it defines. Weak wishes are none: the loader lets them be.
pub fn read<'d, R: ReadRef<'d>>(
    endian: Endianness,
    data: R,
    sections: &Sections<'d, R>,
) -> object::read::Result<(Vec<Import>, Exports)> {
    let table = sections.symbols(endian, data, elf::SHT_DYNSYM)?;
    if table.is_empty() {
        return Ok(Default::default());
    }
    let names = sections.section(table.string_section())?.data(endian, data)?;
    let versions = sections.versions(endian, data)?.unwrap_or_default();
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    for (index, symbol) in table.enumerate() {
        let name = name_at(names, symbol.st_name(endian));
        if name.is_empty() || symbol.st_bind() == elf::STB_LOCAL {
            continue;
        }
        let version = versions.version(versions.version_index(endian, index).index())?;
        if !symbol.is_undefined(endian) {
            exports.push((name, version.map(|version| version.name())));
        } else if !symbol.is_weak() {
            let version = version.and_then(|version| {
                Some(ImportVersion { library: text(version.file()?), name: text(version.name()) })
            });
            let data = matches!(symbol.st_type(), elf::STT_OBJECT | elf::STT_TLS);
            imports.push(Import { symbol: text(name), version, data });
        }
    }
    imports.sort();
    imports.dedup();
    Ok((imports, Exports::of(exports)))
}

fn name_at(names: &[u8], start: u32) -> &[u8] {
    let rest = names.get(start as usize..).unwrap_or_default();
    rest.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(symbol: &str, version: Option<&str>) -> Import {
        let version =
            version.map(|name| ImportVersion { library: "liba.so".into(), name: name.into() });
        Import { symbol: symbol.into(), version, data: false }
    }

    #[test]
    fn a_symbol_is_served_in_its_version_or_without_one() {
        let exports = Exports::of([
            (&b"plain"[..], None),
            (b"old", Some(&b"A_1"[..])),
            (b"old", Some(&b"A_2"[..])),
        ]);
        for (symbol, version, served) in [
            ("plain", None, true),
            ("plain", Some("A_1"), true),
            ("old", None, true),
            ("old", Some("A_2"), true),
            ("old", Some("A_3"), false),
            ("none", None, false),
        ] {
            assert_eq!(exports.serve(&import(symbol, version)), served, "{symbol} {version:?}");
        }
        let stored = serde_json::to_string(&exports).unwrap();
        assert_eq!(serde_json::from_str::<Exports>(&stored).unwrap(), exports);
        assert!(serde_json::from_str::<Exports>("\"é\"").is_err());
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(hash(b"", None), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a", None), 0xaf63_dc4c_8601_ec8c);
    }
}
