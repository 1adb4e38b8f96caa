//! Writes the smallest shared object that the loader takes for another one: its name, its symbol
//! versions, and functions that each say a sentence and end the process. For x86-64; the same input
//! gives the same bytes. Formats: System V ABI, and the Linux Standard Base for symbol versions.

use std::collections::BTreeSet;

use object::elf;

/// A function of the shared object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    pub name: String,
    pub version: Option<String>,
    /// What it writes to standard error before it aborts.
    pub message: String,
}

const FILE_HEADER: u64 = 64;
const PROGRAM_HEADER: u64 = 56;
const SECTION_HEADER: u16 = 64;
const SEGMENTS: u16 = 4;
const SYMBOL: u64 = 24;
const PAGE: u64 = 4096;
/// Bytes between the starts of two functions, and those that are used of them.
const STRIDE: u64 = 32;
const FUNCTION: u64 = 17;

/// write(2, message, length); tgkill(getpid(), gettid(), SIGABRT); and where that does nothing, as
/// in the first process of a container, exit_group(134).
const END: &[u8] = &[
    0xb8, 1, 0, 0, 0, 0xbf, 2, 0, 0, 0, 0x0f, 0x05, // mov eax, 1; mov edi, 2; syscall
    0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x89, 0xc7, // mov eax, 39; syscall; mov edi, eax
    0xb8, 186, 0, 0, 0, 0x0f, 0x05, 0x89, 0xc6, // mov eax, 186; syscall; mov esi, eax
    0xba, 6, 0, 0, 0, 0xb8, 234, 0, 0, 0, 0x0f, 0x05, // mov edx, 6; mov eax, 234; syscall
    0xbf, 134, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05, // mov edi, 134; mov eax, 231; syscall
    0x0f, 0x0b, // ud2
];

/// The sections in the order of the file; the null section comes before them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Hash = 1,
    Symbols,
    Strings,
    VersionOf,
    Versions,
    Code,
    Messages,
    Dynamic,
    Names,
}

const NAMES: [&str; 9] = [
    ".hash",
    ".dynsym",
    ".dynstr",
    ".gnu.version",
    ".gnu.version_d",
    ".text",
    ".rodata",
    ".dynamic",
    ".shstrtab",
];

/// A section that has its place.
struct Placed {
    offset: u64,
    address: u64,
    bytes: Vec<u8>,
}

/// A shared object of that name with these functions, and with `versions` even where no function
/// has them.
pub fn write(soname: &str, functions: &BTreeSet<Function>, versions: &BTreeSet<String>) -> Vec<u8> {
    let mut object = Writer::new(soname, functions, versions);
    object.place(object.hash_table());
    object.place(object.symbols(object.code_address()));
    object.place(object.strings.clone());
    object.place(object.version_of_symbols());
    object.place(object.version_definitions());
    object.place(object.code());
    object.place(object.messages());
    object.place(object.dynamic());
    object.place(section_names());
    object.finish()
}

struct Writer<'a> {
    functions: Vec<&'a Function>,
    /// The first is the shared object itself.
    versions: Vec<&'a str>,
    strings: Vec<u8>,
    placed: Vec<Placed>,
}

impl<'a> Writer<'a> {
    fn new(
        soname: &'a str,
        functions: &'a BTreeSet<Function>,
        versions: &'a BTreeSet<String>,
    ) -> Self {
        let of_functions = functions.iter().filter_map(|function| function.version.as_ref());
        let all: BTreeSet<&str> = versions.iter().chain(of_functions).map(String::as_str).collect();
        let versions: Vec<&str> = [soname].into_iter().chain(all).collect();
        let functions: Vec<&Function> = functions.iter().collect();
        let names = functions.iter().map(|function| function.name.as_str());
        let strings = zero_ended([""].into_iter().chain(versions.iter().copied()).chain(names));
        Self { functions, versions, strings, placed: Vec::new() }
    }

    /// Where in the strings this one starts.
    fn string(&self, wanted: &str) -> u32 {
        let mut start = 0;
        for text in self.strings.split(|byte| *byte == 0) {
            if text == wanted.as_bytes() {
                break;
            }
            start += text.len() + 1;
        }
        small(start as u64)
    }

    /// Puts a section behind the last. The dynamic section gets a page of its own in memory, since
    /// the loader writes to it.
    fn place(&mut self, bytes: Vec<u8>) {
        let offset = self.next_offset();
        let writable = self.placed.len() + 1 >= Section::Dynamic as usize;
        let address = offset + if writable { PAGE } else { 0 };
        self.placed.push(Placed { offset, address, bytes });
    }

    fn next_offset(&self) -> u64 {
        let headers = FILE_HEADER + u64::from(SEGMENTS) * PROGRAM_HEADER;
        let end = |last: &Placed| last.offset + last.bytes.len() as u64;
        self.placed.last().map_or(headers, end).next_multiple_of(STRIDE)
    }

    fn section(&self, section: Section) -> &Placed {
        &self.placed[section as usize - 1]
    }

    /// One bucket: all symbols in one chain.
    fn hash_table(&self) -> Vec<u8> {
        let count = small(self.functions.len() as u64 + 1);
        let first = u32::from(count > 1);
        let mut table = words([1, count, first, 0]);
        for index in 1..count {
            table.extend(words([if index + 1 < count { index + 1 } else { 0 }]));
        }
        table
    }

    fn code_address(&self) -> u64 {
        let sizes = [
            SYMBOL * (self.functions.len() as u64 + 1),
            self.strings.len() as u64,
            self.version_of_symbols().len() as u64,
            self.version_definitions().len() as u64,
        ];
        let behind = |offset: u64, size: u64| (offset + size).next_multiple_of(STRIDE);
        sizes.into_iter().fold(self.next_offset(), behind)
    }

    fn symbols(&self, code: u64) -> Vec<u8> {
        let mut table = vec![0; SYMBOL as usize];
        for (index, function) in self.functions.iter().enumerate() {
            table.extend(words([self.string(&function.name)]));
            // A global function.
            table.extend([0x12, 0]);
            table.extend((Section::Code as u16).to_le_bytes());
            table.extend(longs([code + index as u64 * STRIDE, FUNCTION]));
        }
        table
    }

    fn version_of_symbols(&self) -> Vec<u8> {
        let index = |function: &&Function| {
            let version = function.version.as_deref();
            let place = version
                .and_then(|version| self.versions.iter().skip(1).position(|v| *v == version));
            // Counted from 1; the first is for symbols without a version.
            place.map_or(1, |place| place as u16 + 2)
        };
        let indexes = [0].into_iter().chain(self.functions.iter().map(index));
        indexes.flat_map(u16::to_le_bytes).collect()
    }

    fn version_definitions(&self) -> Vec<u8> {
        const DEFINITION: u32 = 20;
        const NAME: u32 = 8;
        let mut table = Vec::new();
        for (index, version) in self.versions.iter().enumerate() {
            let base = u16::from(index == 0);
            for half in [1, base, index as u16 + 1, 1] {
                table.extend(u16::to_le_bytes(half));
            }
            let last = index + 1 == self.versions.len();
            let next = if last { 0 } else { DEFINITION + NAME };
            table.extend(words([elf::hash(version.as_bytes()), DEFINITION, next]));
            table.extend(words([self.string(version), 0]));
        }
        table
    }

    fn code(&self) -> Vec<u8> {
        let start = self.next_offset();
        let end = self.functions.len() as u64 * STRIDE;
        let messages = (start + end + END.len() as u64).next_multiple_of(STRIDE);
        let (mut code, mut message) = (Vec::new(), messages);
        for function in &self.functions {
            let (at, length) = (code.len() as u64, function.message.len() as u64);
            // lea rsi, [message]; mov edx, length; jmp end
            code.extend([0x48, 0x8d, 0x35]);
            code.extend(words([small(message - (start + at + 7))]));
            code.push(0xba);
            code.extend(words([small(length)]));
            code.push(0xe9);
            code.extend(words([small(end - (at + FUNCTION))]));
            // int3
            code.resize((at + STRIDE) as usize, 0xcc);
            message += length;
        }
        code.extend(END);
        code
    }

    fn messages(&self) -> Vec<u8> {
        self.functions.iter().flat_map(|function| function.message.bytes()).collect()
    }

    fn dynamic(&self) -> Vec<u8> {
        let at = |section| self.section(section).address;
        let soname = u64::from(self.string(self.versions[0]));
        let entries = [
            (elf::DT_SONAME, soname),
            (elf::DT_HASH, at(Section::Hash)),
            (elf::DT_STRTAB, at(Section::Strings)),
            (elf::DT_SYMTAB, at(Section::Symbols)),
            (elf::DT_STRSZ, self.strings.len() as u64),
            (elf::DT_SYMENT, SYMBOL),
            (elf::DT_VERSYM, at(Section::VersionOf)),
            (elf::DT_VERDEF, at(Section::Versions)),
            (elf::DT_VERDEFNUM, self.versions.len() as u64),
            (elf::DT_NULL, 0),
        ];
        entries.into_iter().flat_map(|(tag, value)| longs([tag.0 as u64, value])).collect()
    }

    fn finish(self) -> Vec<u8> {
        let table = self.next_offset();
        let mut file = self.file_header(table);
        for segment in self.segments() {
            file.extend(segment);
        }
        for section in &self.placed {
            file.resize(section.offset as usize, 0);
            file.extend(&section.bytes);
        }
        file.resize(table as usize, 0);
        file.extend([0; SECTION_HEADER as usize]);
        for number in 0..self.placed.len() {
            file.extend(self.section_header(number));
        }
        file
    }

    fn file_header(&self, section_table: u64) -> Vec<u8> {
        // 64-bit, little-endian, version 1.
        let mut header = b"\x7fELF\x02\x01\x01".to_vec();
        header.resize(16, 0);
        header.extend([elf::ET_DYN.0, elf::EM_X86_64.0].map(u16::to_le_bytes).concat());
        header.extend(words([1]));
        header.extend(longs([0, FILE_HEADER, section_table]));
        header.extend(words([0]));
        let sections = self.placed.len() as u16 + 1;
        let sizes = [FILE_HEADER as u16, PROGRAM_HEADER as u16, SEGMENTS, SECTION_HEADER];
        header.extend(sizes.map(u16::to_le_bytes).concat());
        header.extend([sections, Section::Names as u16].map(u16::to_le_bytes).concat());
        header
    }

    /// What is loaded: all up to the dynamic section to be read and run, and that to be written.
    fn segments(&self) -> [Vec<u8>; SEGMENTS as usize] {
        const READ: u32 = 4;
        const WRITE: u32 = 2;
        const RUN: u32 = 1;
        let messages = self.section(Section::Messages);
        let text = messages.offset + messages.bytes.len() as u64;
        let dynamic = self.section(Section::Dynamic);
        let (offset, address) = (dynamic.offset, dynamic.address);
        let size = dynamic.bytes.len() as u64;
        let segment = |kind: elf::ProgramType, flags: u32, offset, address, size, align| {
            let mut header = words([kind.0, flags]);
            header.extend(longs([offset, address, address, size, size, align]));
            header
        };
        [
            segment(elf::PT_LOAD, READ | RUN, 0, 0, text, PAGE),
            segment(elf::PT_LOAD, READ | WRITE, offset, address, size, PAGE),
            segment(elf::PT_DYNAMIC, READ | WRITE, offset, address, size, 8),
            segment(elf::PT_GNU_STACK, READ | WRITE, 0, 0, 0, 16),
        ]
    }

    fn section_header(&self, number: usize) -> Vec<u8> {
        const ALLOCATED: u64 = 2;
        const WRITABLE: u64 = 1;
        const EXECUTABLE: u64 = 4;
        let strings = Section::Strings as u32;
        let symbols = Section::Symbols as u32;
        // Kind, flags, link, info, size of an entry.
        let (kind, flags, link, info, entry) = match number + 1 {
            1 => (elf::SHT_HASH, ALLOCATED, symbols, 0, 4),
            2 => (elf::SHT_DYNSYM, ALLOCATED, strings, 1, SYMBOL),
            3 => (elf::SHT_STRTAB, ALLOCATED, 0, 0, 0),
            4 => (elf::SHT_GNU_VERSYM, ALLOCATED, symbols, 0, 2),
            5 => (elf::SHT_GNU_VERDEF, ALLOCATED, strings, self.versions.len() as u32, 0),
            6 => (elf::SHT_PROGBITS, ALLOCATED | EXECUTABLE, 0, 0, 0),
            7 => (elf::SHT_PROGBITS, ALLOCATED, 0, 0, 0),
            8 => (elf::SHT_DYNAMIC, ALLOCATED | WRITABLE, strings, 0, 16),
            _ => (elf::SHT_STRTAB, 0, 0, 0, 0),
        };
        let placed = &self.placed[number];
        let name: usize = 1 + NAMES[..number].iter().map(|name| name.len() + 1).sum::<usize>();
        let address = if flags == 0 { 0 } else { placed.address };
        let mut header = words([small(name as u64), kind.0]);
        header.extend(longs([flags, address, placed.offset, placed.bytes.len() as u64]));
        header.extend(words([link, info]));
        header.extend(longs([8, entry]));
        header
    }
}

fn section_names() -> Vec<u8> {
    zero_ended([""].into_iter().chain(NAMES))
}

fn zero_ended<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    texts.into_iter().flat_map(|text| text.bytes().chain([0])).collect()
}

fn words<const N: usize>(values: [u32; N]) -> Vec<u8> {
    values.map(u32::to_le_bytes).concat()
}

fn longs<const N: usize>(values: [u64; N]) -> Vec<u8> {
    values.map(u64::to_le_bytes).concat()
}

/// An offset or a size in this file.
fn small(value: u64) -> u32 {
    u32::try_from(value).expect("the file is far smaller than 2 GiB")
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "x86_64")]
    use std::{
        os::unix::process::ExitStatusExt,
        process::{Command, Output},
    };

    use ybox_spec::Digest;

    use super::*;

    /// A change is a new packer revision, or a mistake.
    const PINNED: &str = "sha256:46766b801d84f93772206c773be70e4b58e7c38b5d760be7405baeee80f93dbe";

    fn function(name: &str, version: Option<&str>) -> Function {
        let message = format!("{name} called\n");
        Function { name: name.into(), version: version.map(Into::into), message }
    }

    fn object(functions: &[Function]) -> Vec<u8> {
        write("libtest.so.1", &functions.iter().cloned().collect(), &BTreeSet::new())
    }

    /// What `ls`, which calls `setlocale` first of all, makes of it.
    #[cfg(target_arch = "x86_64")]
    fn preloaded(functions: &[Function]) -> Output {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("libtest.so.1");
        std::fs::write(&path, object(functions)).unwrap();
        Command::new("ls").arg("/").env("LD_PRELOAD", &path).output().unwrap()
    }

    #[test]
    fn the_bytes_are_pinned() {
        let functions =
            [function("b", Some("V_2")), function("a", Some("V_1")), function("c", None)];
        let digest = Digest::of(&object(&functions)).to_string();
        assert_eq!(digest, PINNED);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_loader_finds_functions_by_name_and_version() {
        for version in [None, Some("GLIBC_2.2.5")] {
            let output = preloaded(&[function("another", None), function("setlocale", version)]);
            assert_eq!(String::from_utf8_lossy(&output.stderr), "setlocale called\n");
            assert_eq!((output.status.signal(), output.stdout.len()), (Some(6), 0));
        }
        let output = preloaded(&[function("setlocale", Some("GLIBC_9.9"))]);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(output.status.success() && !output.stdout.is_empty());
        assert!(preloaded(&[]).status.success());
    }
}
