//! What a name on the command line means: a run folder, a lock or recipe file, the beginning of a
//! run hash, or an image of the local store, in this order.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{DiffError, Kind, Run};
use crate::image::{ImageError, Store, StoredImage, short_reference};
use crate::lock::{LOCK_SCHEMA, Lock, LockError, RECIPE_SCHEMA, Recipe};
use crate::record::{FindError, find_folder};
use crate::settings::yaml;

/// One of the two that are compared.
pub enum Side {
    Run(Box<Run>),
    Image(StoredImage),
    Lock(Lock),
    Recipe(Box<Recipe>),
}

impl Side {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Run(_) => Kind::Run,
            Self::Image(_) => Kind::Image,
            Self::Lock(_) => Kind::Lock,
            Self::Recipe(_) => Kind::Recipe,
        }
    }

    /// Finds what `name` means in `directory` or in the store under `home`. Returns also what to
    /// call it.
    pub fn find(directory: &Path, home: &Path, name: &str) -> Result<(String, Self), DiffError> {
        let path = directory.join(name);
        if path.is_file() {
            return Ok((name.to_owned(), file(&path, name)?));
        }
        match find_folder(directory, name) {
            Ok(folder) => {
                if let Some(run) = Run::read(&folder) {
                    let shown = folder.strip_prefix(directory).unwrap_or(&folder);
                    return Ok((shown.display().to_string(), Self::Run(Box::new(run))));
                }
            }
            Err(FindError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
        match Store::under(home)?.find(name) {
            Ok(image) => Ok((short_reference(&image.reference).to_owned(), Self::Image(image))),
            Err(ImageError::NotFound { .. }) if path.is_dir() => {
                Err(DiffError::NoRun(name.to_owned()))
            }
            Err(ImageError::NotFound { .. }) => Err(DiffError::Nothing(name.to_owned())),
            Err(error) => Err(error.into()),
        }
    }
}

/// A lock or a recipe, by its schema.
fn file(path: &Path, name: &str) -> Result<Side, DiffError> {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    let read = |source| LockError::Io { path: PathBuf::from(name), source };
    let bytes = fs::read(path).map_err(read)?;
    let neither = || DiffError::OtherFile(name.to_owned());
    let text = String::from_utf8(bytes).map_err(|_| neither())?;
    let head: Head = yaml::parse(&text).map_err(|_| neither())?;
    let is = |schema: &str| head.schema.split('/').next() == schema.split('/').next();
    if is(LOCK_SCHEMA) {
        return Ok(Side::Lock(Lock::parse(&text, Path::new(name))?));
    }
    if is(RECIPE_SCHEMA) {
        return Ok(Side::Recipe(Box::new(Recipe::parse(&text, Path::new(name))?)));
    }
    Err(neither())
}
