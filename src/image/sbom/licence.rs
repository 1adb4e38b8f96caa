//! Licences of packages, from what they bring themselves: a Debian package's `copyright` file, a
//! wheel's metadata and licence files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde::{Deserialize, Serialize};
use ybox_spec::Digest;

use crate::image::input::InputError;
use crate::image::layer::{Node, Tree};

/// Longer texts are cut.
pub const LONGEST_TEXT: u64 = 1 << 20;
/// Debian links folders of documentation to each other, one or two deep.
const MOST_LINKS: usize = 8;

/// SPDX names that wheels use. An expression with another name is told as text, which is always true.
const SPDX: [&str; 19] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "ISC",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0-or-later",
    "MIT",
    "MPL-2.0",
    "PSF-2.0",
    "Unlicense",
    "Zlib",
];
const EXCEPTIONS: [&str; 2] = ["LLVM-exception", "GCC-exception-3.1"];

/// What a package says of its licence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// In the package's own words: an SPDX expression, or Debian's short names.
    pub declared: Option<String>,
    /// The text of its licence files.
    pub text: Option<String>,
}

impl Licence {
    /// The declaration where it is an SPDX expression of known names.
    pub fn expression(&self) -> Option<&str> {
        self.declared.as_deref().filter(|text| is_expression(text))
    }
}

/// By the SHA-256 of the package's file.
pub type Licences = BTreeMap<Digest, Licence>;

/// The licence of the Debian package `name`, whose files are in `tree`.
pub fn of_deb(tree: &Tree, name: &str) -> Result<Licence, InputError> {
    let path = format!("usr/share/doc/{name}/copyright");
    let Some(Node::File { content, .. }) = follow(tree, &path) else {
        return Ok(Licence::default());
    };
    let mut text = Vec::new();
    content.open()?.take(LONGEST_TEXT).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(Licence { declared: debian_names(&text), text: Some(text) })
}

/// The licence that a wheel's METADATA declares, with the text of its licence files.
pub fn of_wheel(metadata: &str, text: Option<String>) -> Licence {
    let declared = field(metadata, "License-Expression").or_else(|| field(metadata, "License"));
    let licence = Licence { declared: declared.map(Into::into), text };
    match licence.expression() {
        Some(_) => Licence { text: None, ..licence },
        None => licence,
    }
}

/// A field of METADATA's header (RFC 822).
fn field<'a>(metadata: &'a str, name: &str) -> Option<&'a str> {
    let header = metadata.lines().take_while(|line| !line.trim().is_empty());
    let values = header.filter_map(|line| line.split_once(':'));
    let mut values = values.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    values.next().map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
}

/// The short names of a machine-readable copyright file (DEP 5), in alphabetical order.
fn debian_names(text: &str) -> Option<String> {
    let first = text.lines().next()?;
    if !(first.starts_with("Format:") && first.contains("copyright-format")) {
        return None;
    }
    let names = text.lines().filter_map(|line| line.strip_prefix("License:"));
    let names: BTreeSet<_> = names.map(str::trim).filter(|name| !name.is_empty()).collect();
    Some(names.into_iter().collect::<Vec<_>>().join(", "))
}

fn is_expression(text: &str) -> bool {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<_> = spaced.split_whitespace().filter(|w| !matches!(*w, "(" | ")")).collect();
    // Names at even places, operators between them.
    let fits = |(place, word): (usize, &&str)| match place % 2 {
        1 => matches!(*word, "AND" | "OR" | "WITH"),
        _ if place > 0 && words[place - 1] == "WITH" => EXCEPTIONS.contains(word),
        _ => SPDX.contains(word),
    };
    words.len() % 2 == 1 && words.iter().enumerate().all(fits) && is_balanced(text)
}

fn is_balanced(text: &str) -> bool {
    let mut depth = 0_i32;
    text.chars().all(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth >= 0
    }) && depth == 0
}

/// The node at `path`, through symbolic links of folders and of the file itself.
fn follow<'t>(tree: &'t Tree, path: &str) -> Option<&'t Node> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let link = ends.into_iter().find_map(|end| match tree.node(&path[..end]) {
            Some(Node::Link { target }) => Some((end, target)),
            _ => None,
        });
        let Some((end, target)) = link else { return tree.node(&path) };
        path = joined(&path[..end], target) + &path[end..];
    }
    None
}

/// Where the link at `path` leads to.
fn joined(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = match target.starts_with('/') {
        true => Vec::new(),
        false => path.split('/').collect(),
    };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::content::Content;

    #[test]
    fn a_linked_folder_of_documentation_is_followed() {
        let mut tree = Tree::new();
        let text = "Format: https://example.test/copyright-format/1.0/\nLicense: MIT\n\n\
                    License: GPL-2+\n";
        let content = Content::bytes(text);
        let node = Node::File { executable: false, content };
        tree.insert("usr/share/doc/base/copyright", node, "base").unwrap();
        for (name, target) in [("one", "base"), ("two", "../doc/one"), ("loop", "loop")] {
            let node = Node::Link { target: target.into() };
            tree.insert(&format!("usr/share/doc/{name}"), node, name).unwrap();
        }
        for name in ["base", "one", "two"] {
            let licence = of_deb(&tree, name).unwrap();
            assert_eq!(licence.text.as_deref(), Some(text), "{name}");
            assert_eq!(licence.declared.as_deref(), Some("GPL-2+, MIT"));
        }
        assert_eq!(of_deb(&tree, "loop").unwrap(), Licence::default());
        assert_eq!(of_deb(&tree, "none").unwrap(), Licence::default());
    }

    #[test]
    fn only_expressions_of_known_names_are_expressions() {
        for (text, known) in [
            ("MIT", true),
            ("Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND (MIT OR BSL-1.0)", true),
            ("LicenseRef-NVIDIA-Proprietary", false),
            ("BSD", false),
            ("MIT MIT", false),
            ("MIT AND", false),
            ("(MIT", false),
            (")MIT(", false),
            ("MIT WITH MIT", false),
            ("", false),
        ] {
            assert_eq!(is_expression(text), known, "{text}");
        }
    }

    #[test]
    fn a_wheel_declares_its_licence_in_its_header() {
        let metadata = "Name: a\nLicense-Expression: MIT\nLicense: other\n\nLicense: body\n";
        let licence = of_wheel(metadata, Some("text".into()));
        assert_eq!(licence, Licence { declared: Some("MIT".into()), text: None });
        let licence = of_wheel("Name: a\nLicense: Own\n", Some("text".into()));
        assert_eq!(licence.declared.as_deref(), Some("Own"));
        assert_eq!(licence.text.as_deref(), Some("text"));
    }
}
