//! What `cache=` means for a task: where its decoded pictures are kept, how many may be, and what
//! is said about it.

use std::path::Path;
use std::sync::Arc;

use tch::Device;
use ybox_spec::Digest;
use ybox_spec::config::CacheChoice;
use ybox_spec::memory::MemorySize;

use crate::data::Split;
use crate::data::cache::DEFAULT_BYTES;
use crate::data::disk::{Counted, DiskCache};
use crate::emit::Emitter;
use crate::error::TrainerError;
use crate::memory;

/// Of free memory, the part that pictures may take.
const PART_OF_MEMORY: u64 = 2;

/// Where the decoded pictures of all splits are kept.
#[derive(Debug)]
pub struct Caching {
    choice: CacheChoice,
    disk: Option<Arc<DiskCache>>,
    /// Counts of the disk before the split at hand.
    before: Counted,
    /// Bytes of memory for the splits that are still to come; per split where the choice is `auto`.
    memory: u64,
}

impl Caching {
    /// `memory`: the most that the process may take. `place`: folder and budget of a disk cache.
    pub fn new(
        choice: CacheChoice,
        memory: Option<MemorySize>,
        place: Option<(&Path, u64)>,
    ) -> Result<Self, TrainerError> {
        let disk = match (choice, place) {
            (CacheChoice::Disk, Some((folder, budget))) => Some(open(folder, budget)?),
            (CacheChoice::Disk, None) => return Err(TrainerError::NoCacheFolder),
            _ => None,
        };
        let memory = match choice {
            CacheChoice::Auto => DEFAULT_BYTES,
            CacheChoice::Ram => memory::available(memory, Device::Cpu) / PART_OF_MEMORY,
            CacheChoice::Off | CacheChoice::Disk => 0,
        };
        Ok(Self { choice, disk, before: Counted::default(), memory })
    }

    /// Bytes of memory for the next split.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    pub fn disk(&self) -> Option<Arc<DiskCache>> {
        self.disk.clone()
    }

    /// Says how much of `split`, which was just read, is kept.
    pub fn note(&mut self, name: &str, split: &Split, emit: &mut Emitter) {
        let said = match self.choice {
            CacheChoice::Off => None,
            CacheChoice::Auto | CacheChoice::Ram => self.of_memory(name, split),
            CacheChoice::Disk => self.of_disk(name, split),
        };
        if let Some(message) = said {
            emit.note("picture-cache", message);
        }
    }

    /// Nothing where all is kept without having been asked for.
    fn of_memory(&mut self, name: &str, split: &Split) -> Option<String> {
        let content = split.kept_in_memory();
        let (choice, limit) = (self.choice.name(), MemorySize(self.memory));
        if self.choice == CacheChoice::Ram {
            self.memory -= content.bytes;
        }
        let (bytes, wanted) = (MemorySize(content.bytes), MemorySize(content.wanted));
        if content.bytes == content.wanted {
            let message = format!("cache={choice}: all pictures of {name} are kept, in {bytes}");
            return (self.choice == CacheChoice::Ram).then_some(message);
        }
        let more = match self.choice {
            CacheChoice::Auto => "cache=ram or cache=disk keeps more",
            _ => "that is half of the free memory, less what was kept before",
        };
        Some(format!(
            "cache={choice}: {} of {} pictures of {name} are kept, in {bytes}; all would take \
             {wanted}, {limit} may be used ({more}); the others are decoded whenever they are needed",
            content.pictures,
            split.len(),
        ))
    }

    fn of_disk(&mut self, name: &str, split: &Split) -> Option<String> {
        let disk = self.disk.as_ref()?;
        let (now, before) = (disk.counts(), std::mem::take(&mut self.before));
        self.before = now;
        let mut message = format!(
            "cache=disk: of {} pictures of {name}, {} were kept already, {} were added ({})",
            split.len(),
            now.found - before.found,
            now.added - before.added,
            MemorySize(now.bytes - before.bytes),
        );
        if now.damaged > before.damaged {
            let damaged = now.damaged - before.damaged;
            message += &format!("; {damaged} damaged entries were made again");
        }
        if let Some(why) = disk.failure() {
            message += &format!("; no more can be written ({why})");
        } else if now.refused > before.refused {
            let refused = now.refused - before.refused;
            message += &format!(
                "; {refused} are not kept, as half of the free space is used up; they are decoded \
                 whenever they are needed"
            );
        }
        Some(message)
    }
}

/// What is kept is by this program's own digest: another one may decode to other bits.
fn open(folder: &Path, budget: u64) -> Result<Arc<DiskCache>, TrainerError> {
    let program = Path::new("/proc/self/exe");
    let (digest, _) = Digest::of_file(program).map_err(TrainerError::reading(program))?;
    let disk = DiskCache::open(folder, digest, budget).map_err(TrainerError::writing(folder))?;
    Ok(Arc::new(disk))
}

/// The most bytes of memory that the pictures of splits of so many will take, where `free` bytes
/// are there.
pub fn expected(choice: CacheChoice, splits: [u32; 2], imgsz: u32, free: u64) -> u64 {
    let side = u64::from(imgsz);
    let all = splits.map(|pictures| u64::from(pictures) * side * side * 3);
    match choice {
        CacheChoice::Auto => all.map(|bytes| bytes.min(DEFAULT_BYTES)).iter().sum(),
        CacheChoice::Ram => all.iter().sum::<u64>().min(free / PART_OF_MEMORY),
        CacheChoice::Off | CacheChoice::Disk => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pictures_will_take_is_known_beforehand() {
        let of = |choice| expected(choice, [1000, 10], 1024, 4 << 30);
        assert_eq!(of(CacheChoice::Auto), (2 << 30) + 10 * (3 << 20));
        assert_eq!(of(CacheChoice::Ram), 2 << 30);
        assert_eq!([CacheChoice::Off, CacheChoice::Disk].map(of), [0, 0]);
        assert_eq!(expected(CacheChoice::Ram, [10, 0], 1024, 4 << 30), 30 << 20);
    }
}
