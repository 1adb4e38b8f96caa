//! The folders that a task makes inside the run folder, as its files need them.

use std::fs;
use std::path::Path;

use crate::error::TrainerError;

pub fn make_folder_of(file: &Path) -> Result<(), TrainerError> {
    let folder = file.parent().expect("a file in the run folder");
    fs::create_dir_all(folder).map_err(TrainerError::writing(folder))
}
