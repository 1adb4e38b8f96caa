//! Run folders: creating, surveying their data, sealing, finding and verifying them. Starting the
//! container that fills them is `run`'s, and what a record holds is `ybox_spec::record`'s.

mod clock;
mod digests;
mod folder;
mod listing;
mod manifest;
mod memory;
mod parcel;
mod places;
mod pulled;
mod seal;
mod signed;
pub mod statement;
mod survey;
pub mod verify;

pub use clock::{now_rfc3339, rfc3339};
pub use digests::{Hashed, hash_all};
pub use folder::{FolderError, RunFolder, file, is_output, pictures_below};
pub use listing::{
    FindError, Glance, PULLED, REPLAYS, RunState, RunSummary, find_folder, find_run,
    find_run_or_none, glance, list_runs,
};
pub use manifest::{RUN_TYPE, RunManifest};
pub use memory::FileDigests;
pub use parcel::{Parcel, ParcelError, refuse_outside};
pub use places::{images_of_runs, places, remember_place};
pub use pulled::{Aside, Pulled};
pub use seal::{SealError, Sealed, seal, write_beginning, write_config, write_manifest};
pub use signed::SignedRun;
pub use survey::{Kind, SurveyError, Wanted, pictures, pictures_and_labels, survey};
