//! Images end to end: built from stand-in packages and wheels with fixed bytes, and from the real
//! ones where they are in the cache.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod carried;
mod documents;
mod fixture;
mod golden;
mod hostile;
mod real;
mod stand_ins;
mod store;
mod verbs;
