//! Talking to OCI registries: manifests, blobs and referrers go to and from one repository at a time,
//! and every byte that arrives is compared with its digest before anything sees it. What an image
//! is made of and where it is kept is `image`'s.

mod attached;
mod auth;
mod blob;
mod challenge;
mod client;
mod connect;
mod credentials;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod landing;
mod manifest;
mod place;
mod pull;
mod push;
mod referrers;
mod retry;
mod run;
mod upload;

pub use client::Repository;
pub use connect::connect;
pub use error::RegistryError;
use landing::Landing;
pub use manifest::Fetched;
pub use place::{Place, Version};
pub use pull::{Pulled, Remote};
pub use push::Sent;
pub use upload::Pushed;
