//! The package index that pip of this machine is set to, or its built-in one. pip itself is asked,
//! so that its files, sections and precedence need not be known here.

use std::process::{Command, Stdio};

use reqwest::Url;

use crate::settings::{Host, folder_url};

/// The index in `pip config list`, else the one built into pip.
pub fn index(host: &Host) -> Option<Url> {
    configured(host).or_else(|| built_in(&host.pythons)).and_then(|url| folder_url(&url))
}

fn configured(host: &Host) -> Option<String> {
    host.pythons
        .iter()
        .find_map(|python| output(python, &["-m", "pip", "config", "list"]))
        .or_else(|| output(host.pip.as_ref()?, &["config", "list"]))
        .and_then(|list| index_url(&list))
}

fn built_in(pythons: &[String]) -> Option<String> {
    const ASK: &str = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)";
    pythons.iter().find_map(|python| output(python, &["-c", ASK]))
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `index-url` from lines such as `global.index-url='https://…'`. pip's own order: environment,
/// the section of the command, `global`.
fn index_url(list: &str) -> Option<String> {
    [":env:", "install", "download", "global"].into_iter().find_map(|section| {
        let prefix = format!("{section}.index-url=");
        list.lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .map(|value| value.trim().trim_matches(['\'', '"']).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_precedence_of_pip() {
        let list = "global.cert='/c.pem'\nglobal.index-url='https://g.test/simple'\n\
                    install.index-url='https://i.test/simple'\n";
        assert_eq!(index_url(list).as_deref(), Some("https://i.test/simple"));
        let with_environment = format!(":env:.index-url='https://e.test/simple'\n{list}");
        assert_eq!(index_url(&with_environment).as_deref(), Some("https://e.test/simple"));
        assert_eq!(index_url("global.extra-index-url='https://x.test'\n"), None);
    }

    #[test]
    fn no_python_is_no_answer() {
        assert_eq!(built_in(&["/nowhere/python".into()]), None);
    }
}
