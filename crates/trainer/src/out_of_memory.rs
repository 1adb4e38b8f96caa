//! Telling an allocation that failed from other failures of libtorch, which panic, and saying what
//! it lacked.

use std::any::Any;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};

use ybox_spec::config::{AutoCheckpointing, Config};
use ybox_spec::shortage;

use crate::error::TrainerError;
use crate::memory::{Room, room};

/// oneDNN says this where it finds no memory for its code, but for other reasons too.
const NO_PRIMITIVE: &str = "could not create a primitive";

/// What an allocation lacked, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Bytes that were asked for.
    pub needed: Option<u64>,
    pub room: Option<Room>,
}

/// Does `work`; a failed allocation in it is a [`Shortage`]. Other panics go on.
pub fn noticed<T>(
    work: impl FnOnce() -> Result<T, TrainerError>,
) -> Result<Result<T, TrainerError>, Shortage> {
    be_quiet_about_shortages();
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(Err(TrainerError::Torch(error))) => match Shortage::told_by(&error.to_string()) {
            Some(shortage) => Err(shortage),
            None => Ok(Err(error.into())),
        },
        Ok(result) => Ok(result),
        Err(payload) => match Shortage::told_by(text(payload.as_ref())) {
            Some(shortage) => Err(shortage),
            None => panic::resume_unwind(payload),
        },
    }
}

/// The error says it all; libtorch's own words run over many lines of its stack.
fn be_quiet_about_shortages() {
    let talk = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if Shortage::told_by(text(panic.payload())).is_none() {
            talk(panic);
        }
    }));
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or_default()
}

impl Shortage {
    /// As the end of the task of `config`.
    pub fn error(self, config: &Config, checkpointing: AutoCheckpointing) -> TrainerError {
        TrainerError::OutOfMemory {
            tried: shortage::tried(config, checkpointing),
            advice: shortage::advice(config, checkpointing),
            shortage: self,
        }
    }

    /// Reads the words of libtorch: `None` where they are not about memory.
    fn told_by(text: &str) -> Option<Self> {
        if text.contains("CUDA out of memory") {
            return Some(Self::on_gpu(text));
        }
        let words = ["DefaultCPUAllocator: can't allocate memory", "std::bad_alloc"];
        let room = room();
        let is_told = words.iter().any(|word| text.contains(word))
            || text.contains(NO_PRIMITIVE) && room.is_some_and(Room::is_full);
        is_told.then(|| Self {
            needed: after(text, "you tried to allocate ").and_then(|bytes| bytes.parse().ok()),
            room,
        })
    }

    fn on_gpu(text: &str) -> Self {
        let size = |mark| {
            let mut words = text.split_once(mark)?.1.split_whitespace();
            let number: f64 = words.next()?.parse().ok()?;
            let unit = match words.next()?.trim_end_matches('.') {
                "KiB" => 1u64 << 10,
                "MiB" => 1 << 20,
                "GiB" => 1 << 30,
                _ => 1,
            };
            Some((number * unit as f64) as u64)
        };
        let room = size("total capacity of ").zip(size("of which "));
        Self {
            needed: size("Tried to allocate "),
            room: room.map(|(limit, free)| Room { used: limit.saturating_sub(free), limit }),
        }
    }
}

/// The word after `mark`.
fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark)?.1.split_whitespace().next()
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.needed {
            Some(needed) => write!(f, "{} more were needed", Size(needed))?,
            None => f.write_str("more was needed")?,
        }
        match self.room {
            Some(Room { used, limit }) => {
                write!(f, ", and {} of {} were in use", Size(used), Size(limit))
            }
            None => Ok(()),
        }
    }
}

struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 as f64 / f64::from(1 << 20) {
            mebibytes if mebibytes < 1000.0 => write!(f, "{mebibytes:.1} MiB"),
            mebibytes => write!(f, "{:.1} GiB", mebibytes / 1024.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_libtorch_says() {
        let cpu = "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't \
            allocate memory: you tried to allocate 2147483648 bytes. Error code 12";
        let shortage = Shortage::told_by(cpu).unwrap();
        assert_eq!(shortage.needed, Some(2 << 30));
        let room = shortage.room.unwrap();
        assert!(room.used > 0 && room.limit > room.used, "{room:?}");
        assert_eq!(Shortage::told_by("std::bad_alloc").unwrap().needed, None);
        for other in ["mat1 and mat2 shapes cannot be multiplied", NO_PRIMITIVE] {
            assert_eq!(Shortage::told_by(other), None);
        }

        let gpu = "CUDA out of memory. Tried to allocate 512.00 MiB. GPU 0 has a total capacity of \
            8.00 GiB of which 100.00 MiB is free. Including non-PyTorch memory, this process has";
        assert_eq!(
            Shortage::told_by(gpu).unwrap().to_string(),
            "512.0 MiB more were needed, and 7.9 GiB of 8.0 GiB were in use"
        );
    }

    #[test]
    fn other_panics_go_on() {
        let work = || -> Result<(), TrainerError> { panic!("something else") };
        let caught = panic::catch_unwind(|| noticed(work));
        assert_eq!(text(caught.unwrap_err().as_ref()), "something else");
    }
}
