//! What is wrong with a data set, and where.

use std::path::Path;

use serde::Serialize;
use ybox_labels::Problem;
use ybox_spec::dataset::DataSetError;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub code: &'static str,
    /// None where the set as a whole is meant.
    pub split: Option<&'static str>,
    pub file: Option<String>,
    pub line: Option<u64>,
    pub message: String,
}

impl Finding {
    /// Of a split, or the set.
    pub fn whole(code: &'static str, split: Option<&'static str>, message: String) -> Self {
        Self { code, split, file: None, line: None, message }
    }

    pub fn of_file(code: &'static str, split: &'static str, path: &Path, message: String) -> Self {
        let file = Some(path.display().to_string());
        Self { code, split: Some(split), file, line: None, message }
    }

    pub fn of_label(split: &'static str, problem: Problem) -> Self {
        let Problem { code, file, line, message } = problem;
        Self { code: code.name(), split: Some(split), file: Some(file), line, message }
    }

    /// Why a split cannot be read.
    pub fn of_split(split: &'static str, error: &DataSetError) -> Vec<Self> {
        if let DataSetError::NotThere { annotations, missing, .. } = error {
            let message = format!("{} lists it, but it is not there", annotations.display());
            let finding =
                |name| Self::of_file("picture-missing", split, Path::new(name), message.clone());
            return missing.iter().map(finding).collect();
        }
        let code = match error {
            DataSetError::Empty { .. } => "split-empty",
            _ => "split-unreadable",
        };
        vec![Self::whole(code, Some(split), error.to_string())]
    }

    /// `code file:line: message`.
    pub fn shown(&self) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        let place = match (&self.file, self.split) {
            (Some(file), _) => format!("{file}{line}: "),
            (None, Some(split)) => format!("{split}: "),
            (None, None) => String::new(),
        };
        format!("{}  {place}{}", self.code, self.message)
    }
}
