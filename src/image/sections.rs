//! The sections of an ELF file and the text in them, for those who read them.

use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::SectionTable;

pub(super) type Sections<'d, R> = SectionTable<'d, FileHeader64<Endianness>, R>;

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
