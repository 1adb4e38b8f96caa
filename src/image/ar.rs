//! Members of an archive in the common format of ar(5), as far as deb(5) uses it: short names, one
//! after another. What a member holds is the reader's business.

use std::io::{self, Read};

const MAGIC: &[u8; 8] = b"!<arch>\n";
/// Name, time, owner, group and mode, the size from here on, and the two bytes that end it.
const HEADER: usize = 60;
const NAME: std::ops::Range<usize> = 0..16;
const SIZE: std::ops::Range<usize> = 48..58;
const END: &[u8; 2] = b"`\n";

/// An archive that is read from its beginning to its end.
pub struct Archive<R> {
    inner: R,
    began: bool,
    /// Bytes that the current member has yet.
    left: u64,
    /// Whether a byte follows that makes its size even.
    padded: bool,
}

/// A file in an archive; whatever of it is not read is passed over.
pub struct Member<'a, R> {
    pub name: String,
    archive: &'a mut Archive<R>,
}

impl<R: Read> Archive<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, began: false, left: 0, padded: false }
    }

    /// Nothing after the last member. Fails on what is no archive, and on one that is cut off.
    pub fn next_member(&mut self) -> io::Result<Option<Member<'_, R>>> {
        if !self.began {
            self.begin()?;
        }
        self.pass_over_rest()?;
        let mut header = [0; HEADER];
        if self.fill(&mut header)? == 0 {
            return Ok(None);
        }
        let (name, size) = parse(&header)?;
        (self.left, self.padded) = (size, size % 2 == 1);
        Ok(Some(Member { name, archive: self }))
    }

    fn begin(&mut self) -> io::Result<()> {
        let mut magic = [0; MAGIC.len()];
        self.fill(&mut magic)?;
        if magic != *MAGIC {
            return Err(malformed("it is not an ar archive"));
        }
        self.began = true;
        Ok(())
    }

    fn pass_over_rest(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.left);
        // The last member may go without the byte that makes it even.
        let most = rest + u64::from(std::mem::take(&mut self.padded));
        match io::copy(&mut self.inner.by_ref().take(most), &mut io::sink())? {
            passed if passed < rest => Err(cut_off()),
            _ => Ok(()),
        }
    }

    /// Fills `buffer`, or leaves it as it is where nothing follows; how many bytes came.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = Vec::with_capacity(buffer.len());
        match self.inner.by_ref().take(buffer.len() as u64).read_to_end(&mut filled)? {
            0 => Ok(0),
            read if read == buffer.len() => {
                buffer.copy_from_slice(&filled);
                Ok(read)
            }
            _ => Err(cut_off()),
        }
    }
}

impl<R: Read> Read for Member<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let archive = &mut *self.archive;
        let read = archive.inner.by_ref().take(archive.left).read(buffer)?;
        if read == 0 && !buffer.is_empty() && archive.left > 0 {
            return Err(cut_off());
        }
        archive.left -= read as u64;
        Ok(read)
    }
}

fn parse(header: &[u8; HEADER]) -> io::Result<(String, u64)> {
    if !header.ends_with(END) {
        return Err(malformed("the header of a member does not end as one does"));
    }
    let text = |range| std::str::from_utf8(&header[range]).map(str::trim_end);
    let name = text(NAME).map_err(|_| malformed("the name of a member is not in UTF-8"))?;
    let size = text(SIZE).ok().filter(|size| size.bytes().all(|b| b.is_ascii_digit()));
    let size = size.and_then(|size| size.parse().ok());
    let size = size.ok_or_else(|| malformed("the size of a member is not a number"))?;
    Ok((name.to_owned(), size))
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut off")
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An archive of `members`, as `ar` would write it.
    pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (name, content) in members {
            let size = content.len();
            bytes.extend(
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100644).bytes(),
            );
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        }
        bytes
    }

    fn read_all(bytes: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut archive = Archive::new(bytes);
        let mut members = Vec::new();
        while let Some(mut member) = archive.next_member()? {
            let mut content = Vec::new();
            member.read_to_end(&mut content)?;
            members.push((member.name, content));
        }
        Ok(members)
    }

    #[test]
    fn members_of_odd_and_even_size_follow_each_other() {
        let bytes = archive(&[("a", b"odd"), ("b/", b""), ("c", b"even")]);
        let found = read_all(&bytes).unwrap();
        let expected = [("a", &b"odd"[..]), ("b/", b""), ("c", b"even")];
        assert!(found.iter().map(|(n, c)| (n.as_str(), &c[..])).eq(expected), "{found:?}");
    }

    #[test]
    fn a_member_that_is_not_read_is_passed_over() {
        let bytes = archive(&[("a", b"odd"), ("b", b"x")]);
        let mut archive = Archive::new(&bytes[..]);
        assert_eq!(archive.next_member().unwrap().unwrap().name, "a");
        assert_eq!(archive.next_member().unwrap().unwrap().name, "b");
        assert!(archive.next_member().unwrap().is_none());
    }

    #[test]
    fn what_is_cut_off_is_told_from_what_ends() {
        let bytes = archive(&[("a", b"content")]);
        // Without the byte that makes the size even, it is whole.
        assert!(read_all(&bytes[..bytes.len() - 1]).is_ok());
        for end in [bytes.len() - 2, MAGIC.len() + 10, 3] {
            assert!(read_all(&bytes[..end]).is_err(), "{end}");
        }
        let mut unread = Archive::new(&bytes[..bytes.len() - 3]);
        unread.next_member().unwrap();
        assert_eq!(
            unread.next_member().err().map(|e| e.kind()),
            Some(io::ErrorKind::UnexpectedEof)
        );
    }

    #[test]
    fn names_and_sizes_of_other_formats_are_no_numbers_to_trust() {
        let header =
            |size: &str| format!("!<arch>\n{:<16}{:<32}{size:<10}`\n", "#1/80000000000", "");
        assert!(read_all(header("40").as_bytes()).is_err());
        for size in ["+4", "-1", "", "4 4", "0x10"] {
            let error = read_all(header(size).as_bytes()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{size}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_all(&bytes);
            let _ = read_all(&[&MAGIC[..], &bytes].concat());
        }
    }
}
