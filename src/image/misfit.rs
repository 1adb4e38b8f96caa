//! What is wrong between the programs and libraries of an image, in sentences.

use std::fmt;

/// How many of the symbols that a file misses are named.
const NAMED: usize = 3;

/// Something that would keep a program from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    NotAProgram { program: String },
    Machine { file: String, found: u16, expected: u16 },
    Interpreter { program: String, interpreter: String },
    Library { file: String, library: String },
    Version { file: String, library: String, wanted: String, newest: Option<String> },
    Symbols { file: String, symbols: Vec<String> },
    Driver { file: String },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAProgram { program } => write!(f, "/{program} is not an ELF program"),
            Self::Machine { file, found, expected } => {
                write!(f, "/{file} is for the ELF machine {found}, the image for {expected}")
            }
            Self::Interpreter { program, interpreter } => {
                write!(f, "/{program} is started by {interpreter}, which the image lacks")
            }
            Self::Library { file, library } => {
                write!(f, "/{file} needs {library}, which the image lacks")
            }
            Self::Version { file, library, wanted, newest } => {
                write!(f, "/{file} needs {wanted} of {library}; the image's ")?;
                match newest {
                    Some(newest) => write!(f, "has {newest} at most"),
                    None => write!(f, "has no such versions"),
                }
            }
            Self::Symbols { file, symbols } => {
                let named: Vec<&str> = symbols.iter().take(NAMED).map(String::as_str).collect();
                write!(f, "/{file} needs {}", named.join(", "))?;
                if symbols.len() > NAMED {
                    write!(f, " and {} more symbols", symbols.len() - NAMED)?;
                }
                write!(f, ", which no library loaded with it defines")
            }
            Self::Driver { file } => write!(
                f,
                "/{file} belongs to NVIDIA's driver: it comes from the machine that runs the image"
            ),
        }
    }
}
