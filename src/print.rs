//! Printing for readers who may leave before the end (`ybox runs | head`): the rest is dropped. The
//! macros of the standard library would panic, and the signal that ends other programs then would
//! end this one with any connection that breaks, too.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

macro_rules! print {
    ($($text:tt)*) => { $crate::print::out(format_args!($($text)*)) };
}

macro_rules! println {
    () => { print!("\n") };
    ($($text:tt)*) => { print!("{}\n", format_args!($($text)*)) };
}

macro_rules! eprint {
    ($($text:tt)*) => { $crate::print::err(format_args!($($text)*)) };
}

macro_rules! eprintln {
    ($($text:tt)*) => { eprint!("{}\n", format_args!($($text)*)) };
}

pub fn out(text: Arguments) {
    match io::stdout().write_fmt(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            panic!("cannot write to standard output: {error}")
        }
        _ => {}
    }
}

/// There is nobody left to tell when this fails.
pub fn err(text: Arguments) {
    let _ = io::stderr().write_fmt(text);
}
