//! What people see: errors, progress, tables. Nothing here decides anything.

mod checks;
mod diff;
pub mod download;
mod failure;
mod replay;
pub mod rows;
mod run_view;
mod screen;
mod table;

pub use checks::checks;
pub use diff::diff;
pub use failure::{DISK_FULL, Explain, Failure, is_disk_full, one_line};
pub use replay::replay;
pub use run_view::RunView;
pub use screen::{Bar, Screen};
pub use table::table;
