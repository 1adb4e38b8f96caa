//! Keys, signatures and the policy of whom to believe. Formats are cosign's and in-toto's, so that
//! other tools can check what ybox signs and the other way round. Where signatures are kept and
//! how they travel is `image`'s and `registry`'s business.

mod check;
pub mod cosign;
mod decision;
mod dsse;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod key;
mod key_files;
mod passphrase;
mod payload;
mod policy;
mod sealed;

pub use check::belongs;
pub use decision::{Evidence, Refusal, Signed, Trust};
pub use dsse::Envelope;
pub use error::TrustError;
pub use key::{PrivateKey, PublicKey};
pub use key_files::{KeyPair, write_new};
pub use passphrase::Passphrase;
pub use payload::Payload;
pub use policy::Policy;
