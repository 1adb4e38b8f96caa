//! Keys, signatures and the policy of whom to believe. Formats are cosign's and in-toto's, so that
//! other tools can check what ybox signs and the other way round. Where signatures are kept and
//! how they travel is `image`'s and `registry`'s business.

mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod key;
mod key_files;
mod passphrase;
mod payload;
mod sealed;

pub use error::TrustError;
pub use key::{PrivateKey, PublicKey};
pub use key_files::{KeyPair, write_new};
pub use passphrase::Passphrase;
pub use payload::Payload;
