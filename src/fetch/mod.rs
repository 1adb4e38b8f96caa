//! Downloads into the content-addressed cache: nothing is used before its hash matched. Where to
//! fetch from is a setting, or what pip and apt of this machine are set to; what to fetch is the
//! lock's.

mod cache;
mod client;
mod download;
mod error;
mod fetcher;
pub mod index;
pub mod libtorch;
mod sources;

pub use cache::Cache;
pub use client::Client;
pub use download::Item;
pub use error::FetchError;
pub use fetcher::{Fetcher, Inputs};
pub use sources::{DebSource, SignedBy, SourceError, Sources};
