//! The package indexes that pip of this machine is set to, or its built-in one. pip itself is asked,
//! so that its files, sections and precedence need not be known here.

use std::process::{Command, Stdio};

use reqwest::Url;

use crate::settings::{Host, folder_url};

/// What pip is set to: the lines of `pip config list`.
pub fn settings(host: &Host) -> Option<String> {
    host.pythons
        .iter()
        .find_map(|python| output(python, &["-m", "pip", "config", "list"]))
        .or_else(|| output(host.pip.as_ref()?, &["config", "list"]))
}

/// The index in `settings`, else the one built into pip.
pub fn index(settings: Option<&str>, host: &Host) -> Option<Url> {
    settings
        .and_then(|list| value_of(list, "index-url"))
        .or_else(|| built_in(&host.pythons))
        .and_then(|url| folder_url(&url))
}

/// The further indexes in `settings`.
pub fn extra_indexes(settings: Option<&str>) -> Vec<Url> {
    let urls = settings.and_then(|list| value_of(list, "extra-index-url")).unwrap_or_default();
    several(&urls).filter_map(folder_url).collect()
}

/// The values of a key that may have several: pip shows the line ends between them as `\n`.
fn several(value: &str) -> impl Iterator<Item = &str> {
    value.split("\\n").flat_map(str::split_whitespace)
}

fn built_in(pythons: &[String]) -> Option<String> {
    const ASK: &str = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)";
    pythons.iter().find_map(|python| output(python, &["-c", ASK]))
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The value of, for instance, `index-url` from lines such as `global.index-url='https://…'`. pip's
/// own order: environment, the section of the command, `global`.
fn value_of(list: &str, key: &str) -> Option<String> {
    [":env:", "install", "download", "global"].into_iter().find_map(|section| {
        let prefix = format!("{section}.{key}=");
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
        let index_url = |list: &str| value_of(list, "index-url");
        assert_eq!(index_url(list).as_deref(), Some("https://i.test/simple"));
        let with_environment = format!(":env:.index-url='https://e.test/simple'\n{list}");
        assert_eq!(index_url(&with_environment).as_deref(), Some("https://e.test/simple"));
        let list = "global.extra-index-url='\\nhttps://x.test/a\\nhttps://y.test https://z.test'\n";
        assert_eq!(index_url(list), None);
        let extra = value_of(list, "extra-index-url").unwrap();
        let urls: Vec<&str> = several(&extra).collect();
        assert_eq!(urls, ["https://x.test/a", "https://y.test", "https://z.test"]);
    }

    #[test]
    fn no_python_is_no_answer() {
        assert_eq!(built_in(&["/nowhere/python".into()]), None);
    }
}
