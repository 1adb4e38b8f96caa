//! `ybox probe`: what this machine has.

use std::cell::OnceCell;
use std::ffi::OsString;

use super::{Context, ExitStatus};
use crate::plan::{self, PretendError, Tables};
use crate::probe::{self, Facts, Questioner, Surroundings, facts};
use crate::ui::{Explain, Failure};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub pretend: Pretend,
    /// Ask NVIDIA's libraries only, in this process, and print their raw answer
    #[arg(long, hide = true)]
    driver_only: bool,
}

/// Facts given by hand instead of learnt.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Pretend {
    /// Pretend to be on other hardware: `T4`, `gpu=A100+T4,driver=580.82.07`, `cpu`, or a file of
    /// facts written by `ybox probe --json`
    #[arg(long, env = "YBOX_PRETEND", value_name = "HARDWARE")]
    pub pretend: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum FactsError {
    #[error("cannot read the facts in {path}")]
    Read { path: String, source: std::io::Error },
    #[error("{path} holds no facts")]
    Form { path: String, source: serde_json::Error },
    #[error("{path} holds facts of the form `{found}`, not `{}`", facts::SCHEMA)]
    Schema { path: String, found: String },
    #[error(transparent)]
    Pretend(#[from] PretendError),
    #[error("cannot tell which program this is")]
    Program(#[source] std::io::Error),
}

impl Explain for FactsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Pretend(error) => error.hint(),
            Self::Form { .. } | Self::Schema { .. } => {
                Some("write such a file with `ybox probe --json`".into())
            }
            Self::Read { .. } | Self::Program(_) => None,
        }
    }
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    if args.driver_only {
        print_json(&probe::answer());
        return Ok(ExitStatus::Yes);
    }
    let facts = learn(&args.pretend, context)?;
    if context.settings.json {
        print_json(&facts);
    } else {
        println!("{}", probe::table(&facts));
    }
    Ok(ExitStatus::Yes)
}

fn print_json<T: serde::Serialize>(value: &T) {
    println!("{}", serde_json::to_string_pretty(value).expect("facts are plain data"));
}

/// The facts to go by: pretended ones if the user gave any, else this machine's.
pub fn learn(pretend: &Pretend, context: &Context) -> Result<Facts, Failure> {
    let given = pretend.pretend.as_deref().filter(|given| !given.is_empty());
    Ok(match given {
        Some(given) if is_file(given) => from_file(given)?,
        Some(given) => plan::pretend(given, &Tables::built_in()).map_err(FactsError::from)?,
        None => {
            let program = std::env::current_exe().map_err(FactsError::Program)?;
            let arguments = ["probe", "--driver-only"].map(OsString::from).to_vec();
            let questioner = Questioner { program, arguments, libraries: None };
            let surroundings = Surroundings::of_host(questioner, |name| std::env::var_os(name));
            context.runtime.block_on(probe::probe(&surroundings))
        }
    })
}

/// The same, learned at most once.
pub fn learn_once<'a>(
    known: &'a OnceCell<Facts>,
    pretend: &Pretend,
    context: &Context,
) -> Result<&'a Facts, Failure> {
    match known.get() {
        Some(facts) => Ok(facts),
        None => {
            let facts = learn(pretend, context)?;
            Ok(known.get_or_init(|| facts))
        }
    }
}

fn is_file(given: &str) -> bool {
    given.ends_with(".json") || given.contains('/')
}

/// Facts of another machine, marked as not being this one's.
fn from_file(path: &str) -> Result<Facts, FactsError> {
    let named = || path.to_owned();
    let text = std::fs::read_to_string(path)
        .map_err(|source| FactsError::Read { path: named(), source })?;
    let facts: Facts =
        serde_json::from_str(&text).map_err(|source| FactsError::Form { path: named(), source })?;
    if facts.schema != facts::SCHEMA {
        return Err(FactsError::Schema { path: named(), found: facts.schema });
    }
    Ok(Facts { pretended: Some(named()), ..facts })
}
