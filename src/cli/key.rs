//! `ybox key`: keys to sign with.

use std::path::PathBuf;

use serde_json::json;
use zeroize::Zeroizing;

use super::{Context, ExitStatus};
use crate::trust::{KeyPair, Passphrase, PrivateKey, write_new};
use crate::ui::Failure;

/// Where scripts put the passphrase.
const VARIABLE: &str = "YBOX_KEY_PASSPHRASE";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a key pair: NAME.key, sealed with a passphrase, and NAME.pub
    New {
        /// Name of the two files, less their endings
        #[arg(default_value = "ybox")]
        name: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Print the public half of a private key
    Public {
        /// File of the private key
        key: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
}

/// How the passphrase of a private key is given.
#[derive(Debug, Clone, clap::Args)]
pub struct PassphraseArgs {
    /// File whose first line is the key's passphrase [default: $YBOX_KEY_PASSPHRASE, or ask]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    pub fn source(&self) -> Passphrase {
        match (&self.passphrase_file, std::env::var(VARIABLE)) {
            (Some(path), _) => Passphrase::File(path.clone()),
            (None, Ok(passphrase)) => Passphrase::Given(Zeroizing::new(passphrase)),
            (None, Err(_)) => Passphrase::Ask,
        }
    }

    /// Opens the private key at `path`.
    pub fn open(&self, path: &std::path::Path) -> Result<PrivateKey, Failure> {
        let what = path.display().to_string();
        Ok(PrivateKey::read(path, || self.source().get(&what))?)
    }
}

pub fn run(args: Args, context: &Context) -> Result<ExitStatus, Failure> {
    match args.verb {
        Verb::New { name, passphrase } => new(&KeyPair::named(&name), &passphrase, context),
        Verb::Public { key, passphrase } => {
            print!("{}", passphrase.open(&key)?.public().pem());
            Ok(ExitStatus::Yes)
        }
    }
}

fn new(
    pair: &KeyPair,
    passphrase: &PassphraseArgs,
    context: &Context,
) -> Result<ExitStatus, Failure> {
    pair.must_be_new()?;
    let passphrase = passphrase.source().choose(&pair.private.display().to_string())?;
    let key = PrivateKey::generate()?;
    write_new(pair, &key, &passphrase)?;
    if context.settings.json {
        let fingerprint = key.public().fingerprint();
        let document =
            json!({"private": pair.private, "public": pair.public, "fingerprint": fingerprint});
        println!("{document}");
    } else {
        eprintln!("keep {} and its passphrase safe", pair.private.display());
        println!("{}", pair.public.display());
    }
    Ok(ExitStatus::Yes)
}
