//! Runs: from `key=value` arguments to a resolved order, and from the order to a sealed run folder.
//! How a container runs is `engine`'s, what a record holds and how it is checked is `record`'s.

mod arguments;
mod batch;
mod cache;
mod convert;
mod device;
mod ending;
mod error;
mod execute;
mod foreign;
mod order;
mod recorded;
mod resume;
mod settle;
mod source;

pub use arguments::Sorted;
pub use cache::CachePlace;
pub use convert::{Conversion, convert};
pub use error::RunError;
pub use execute::{Finished, Surroundings, execute};
pub use order::{Order, Request, Settle, StopAfter, find_image, resolve};
pub use recorded::Recorded;
pub use settle::{Asked, Devices, Settled, settle, unused_gpus};
