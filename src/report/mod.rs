//! `report.html`: one run at a glance, from its folder alone, in one file that needs nothing else:
//! no network, no scripts. It repeats what the folder says; whether that is true is `verify`'s
//! matter. A page like it shows two runs compared.

mod chart;
mod diff;
mod html;
mod page;
mod sections;
mod story;

use std::io;
use std::path::{Path, PathBuf};

use ybox_spec::files::write_atomic;

use crate::record::file;
use crate::ui::Explain;
pub use diff::render as render_diff;
pub use page::render;
pub use story::Story;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("{} is no run folder", .0.display())]
    NoRun(PathBuf),
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Explain for ReportError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoRun(_) => Some("`ybox runs` lists those under ./runs".into()),
            Self::Write { .. } => None,
        }
    }

    fn exit(&self) -> u8 {
        match self {
            Self::NoRun(_) => 1,
            Self::Write { .. } => 2,
        }
    }
}

/// Writes the report of the run in `folder` beside its files, which stay as they are. `name` is
/// what the run is called in it. Returns where the report is.
pub fn write(folder: &Path, name: &str) -> Result<PathBuf, ReportError> {
    let story = Story::read(folder, name).ok_or_else(|| ReportError::NoRun(folder.to_owned()))?;
    let path = folder.join(file::REPORT);
    write_atomic(&path, render(&story).as_bytes())
        .map_err(|source| ReportError::Write { path: path.clone(), source })?;
    Ok(path)
}
