//! A TensorBoard event file of scalars: TFRecord framing (length, masked CRC-32C, data, masked
//! CRC-32C) around `tensorflow.Event` messages in protobuf's wire format, written by hand.
//!
//! Sources: tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto and
//! tensorflow/core/lib/io/record_writer.h.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ybox_spec::files::cut;

pub struct TensorBoard {
    file: File,
}

impl TensorBoard {
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        let mut event = time_field(now());
        bytes_field(&mut event, 3, b"brain.Event:2");
        file.write_all(&record(&event))?;
        Ok(Self { file })
    }

    /// Goes on with the first `length` bytes of the file at `path`; anew where it has not so many:
    /// people look at it, nothing depends on it.
    pub fn resume(path: &Path, length: u64) -> io::Result<Self> {
        cut(path, length).map(|file| Self { file }).or_else(|_| Self::create(path))
    }

    /// Bytes so far.
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Another handle of the file, to bring it to the disk with.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Adds the named values of `step`.
    pub fn append(&mut self, step: u64, scalars: &[(&str, f64)]) -> io::Result<()> {
        self.file.write_all(&record(&event(now(), step, scalars)))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

fn event(time: f64, step: u64, scalars: &[(&str, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in scalars {
        let mut message = Vec::new();
        bytes_field(&mut message, 1, tag.as_bytes());
        // simple_value, a float.
        message.push(2 << 3 | 5);
        message.extend((*value as f32).to_le_bytes());
        bytes_field(&mut summary, 1, &message);
    }
    let mut event = time_field(time);
    event.push(2 << 3);
    varint(&mut event, step);
    bytes_field(&mut event, 5, &summary);
    event
}

/// wall_time, a double.
fn time_field(time: f64) -> Vec<u8> {
    let mut message = vec![1 << 3 | 1];
    message.extend(time.to_le_bytes());
    message
}

fn bytes_field(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    message.push(number << 3 | 2);
    varint(message, bytes.len() as u64);
    message.extend(bytes);
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length), data, &masked_crc(data)].concat()
}

/// Masked because the CRC of data that holds CRCs is a weak check.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// Castagnoli's polynomial, reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |c, _| {
                if c & 1 == 1 { (c >> 1) ^ 0x82f6_3b78 } else { c >> 1 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_that_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<_>>()), 0x46dd_794e);
    }

    #[test]
    fn an_event_has_these_bytes() {
        let expected = [
            [0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f].as_slice(),
            &[0x10, 0xac, 0x02],
            &[0x2a, 10, 0x0a, 8, 0x0a, 1, b'a', 0x15, 0, 0, 0x80, 0x3e],
        ];
        assert_eq!(event(1.5, 300, &[("a", 0.25)]), expected.concat());
    }
}
