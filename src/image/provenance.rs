//! What a trainer says of its making: read from the file that goes into the image, so that it holds
//! for this file and not for the machine that assembles the image.

use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};

/// Written by compilers and linkers, each entry with a NUL behind it.
const COMMENT: &str = ".comment";

/// Written by the trainer's own build: the digest of its Cargo.lock.
const CARGO_LOCK: &str = ".ybox.cargo-lock";

/// Facts of a program; what it does not say is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Compilers and linker with their versions, in the order of the file.
    pub toolchain: Option<String>,
    /// Digest of the lock of its dependencies.
    pub cargo_lock: Option<String>,
}

impl Provenance {
    pub fn of(program: &[u8]) -> Self {
        let toolchain = section(program, COMMENT).map(|text| entries(text).join("; "));
        let cargo_lock = section(program, CARGO_LOCK).map(|text| entries(text).concat());
        let said = |text: &String| !text.is_empty();
        Self { toolchain: toolchain.filter(said), cargo_lock: cargo_lock.filter(said) }
    }
}

fn entries(text: &[u8]) -> Vec<String> {
    let entries = text.split(|&byte| byte == 0).filter(|entry| !entry.is_empty());
    entries.map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
}

fn section<'d>(program: &'d [u8], name: &str) -> Option<&'d [u8]> {
    let header = FileHeader64::<Endianness>::parse(program).ok()?;
    let endian = header.endian().ok()?;
    let (_, section) =
        header.sections(endian, program).ok()?.section_by_name(endian, name.as_bytes())?;
    section.data(endian, program).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_names_its_compiler_and_other_files_say_nothing() {
        let ourselves = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let provenance = Provenance::of(&ourselves);
        let toolchain = provenance.toolchain.unwrap();
        assert!(toolchain.contains("rustc version 1."), "{toolchain}");
        assert_eq!(provenance.cargo_lock, None, "only the trainer carries it");
        assert_eq!(Provenance::of(b"#!/bin/sh\n"), Provenance::default());
    }

    #[test]
    fn entries_are_what_stands_between_nul_bytes() {
        assert_eq!(entries(b"rustc 1\0\0GCC 12\0"), ["rustc 1", "GCC 12"]);
    }
}
