//! The simple API of Python package indexes: JSON (PEP 691) where it is served, else HTML
//! (PEP 503). Which file is wanted is the callers' business.

use std::collections::BTreeMap;

use reqwest::Url;
use serde::Deserialize;
use ybox_spec::Digest;

/// What to ask an index for: JSON if it has it.
pub const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, \
                          application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// A file that an index offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    pub name: String,
    pub url: Url,
    pub sha256: Option<Digest>,
    pub size: Option<u64>,
    /// Why it was withdrawn; empty if no reason was given.
    pub yanked: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("it is no JSON of the simple API")]
    Json(#[from] serde_json::Error),
    #[error("it has version {0} of the simple API; only version 1 is known")]
    Version(String),
    #[error("`{0}` is not a URL")]
    Url(String),
    #[error("it is neither JSON nor HTML of the simple API but {0}")]
    Type(String),
}

/// A project's name as it stands in URLs: PEP 503's normal form.
pub fn normalized(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            c => normal.push(c.to_ascii_lowercase()),
        }
    }
    normal
}

/// The files on a project's page that was read from `base`.
pub fn parse(
    base: &Url,
    content_type: Option<&str>,
    content: &[u8],
) -> Result<Vec<IndexFile>, IndexError> {
    let kind = content_type.unwrap_or("text/html").split(';').next().unwrap_or_default().trim();
    match kind {
        "application/vnd.pypi.simple.v1+json" | "application/json" => parse_json(base, content),
        "application/vnd.pypi.simple.v1+html" | "text/html" => {
            parse_html(base, &String::from_utf8_lossy(content))
        }
        other => Err(IndexError::Type(other.into())),
    }
}

#[derive(Deserialize)]
struct Page {
    meta: Meta,
    files: Vec<PageFile>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "api-version")]
    version: String,
}

#[derive(Deserialize)]
struct PageFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    size: Option<u64>,
    yanked: Option<Yanked>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Yanked {
    Flag(bool),
    Reason(String),
}

fn parse_json(base: &Url, content: &[u8]) -> Result<Vec<IndexFile>, IndexError> {
    let page: Page = serde_json::from_slice(content)?;
    if page.meta.version.split('.').next() != Some("1") {
        return Err(IndexError::Version(page.meta.version));
    }
    page.files.into_iter().map(|file| json_file(base, file)).collect()
}

fn json_file(base: &Url, file: PageFile) -> Result<IndexFile, IndexError> {
    Ok(IndexFile {
        url: base.join(&file.url).map_err(|_| IndexError::Url(file.url))?,
        sha256: file.hashes.get("sha256").and_then(|hex| Digest::from_hex(hex).ok()),
        size: file.size,
        yanked: match file.yanked {
            None | Some(Yanked::Flag(false)) => None,
            Some(Yanked::Flag(true)) => Some(String::new()),
            Some(Yanked::Reason(reason)) => Some(reason),
        },
        name: file.filename,
    })
}

fn parse_html(base: &Url, page: &str) -> Result<Vec<IndexFile>, IndexError> {
    let mut files = Vec::new();
    for anchor in anchors(page) {
        let Some(href) = anchor.attributes.get("href") else { continue };
        let mut url = base.join(href).map_err(|_| IndexError::Url(href.clone()))?;
        let sha256 = url
            .fragment()
            .and_then(|fragment| fragment.strip_prefix("sha256="))
            .and_then(|hex| Digest::from_hex(hex).ok());
        url.set_fragment(None);
        files.push(IndexFile {
            name: anchor.text,
            url,
            sha256,
            size: None,
            yanked: anchor.attributes.get("data-yanked").cloned(),
        });
    }
    Ok(files)
}

struct Anchor {
    attributes: BTreeMap<String, String>,
    text: String,
}

/// The `<a …>text</a>` of a page. The simple API promises no more HTML than that.
fn anchors(page: &str) -> Vec<Anchor> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(at) = find_anchor(rest) {
        let (attributes, after) = attributes(&rest[at + 2..]);
        let end = after.find('<').unwrap_or(after.len());
        found.push(Anchor { attributes, text: unescaped(after[..end].trim()) });
        rest = &after[end..];
    }
    found
}

fn find_anchor(page: &str) -> Option<usize> {
    page.as_bytes().windows(3).position(|w| {
        w[0] == b'<'
            && w[1].eq_ignore_ascii_case(&b'a')
            && (w[2].is_ascii_whitespace() || w[2] == b'>')
    })
}

/// Attributes up to the tag's `>`, and what follows that.
fn attributes(tag: &str) -> (BTreeMap<String, String>, &str) {
    let mut found = BTreeMap::new();
    let mut rest = tag.trim_start();
    loop {
        if rest.is_empty() {
            return (found, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (found, after);
        }
        let name_end =
            rest.find(|c: char| c.is_whitespace() || c == '=' || c == '>').unwrap_or(rest.len());
        let name = rest[..name_end].to_ascii_lowercase();
        rest = rest[name_end..].trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            (value, rest) = attribute_value(after.trim_start());
        } else if name.is_empty() {
            return (found, rest);
        }
        found.insert(name, unescaped(value));
        rest = rest.trim_start();
    }
}

fn attribute_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.split_once(quote).unwrap_or((inner, ""));
        }
    }
    let end = text.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(text.len());
    text.split_at(end)
}

fn unescaped(text: &str) -> String {
    let mut plain = text.to_owned();
    for (entity, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&amp;", "&"),
    ] {
        plain = plain.replace(entity, character);
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base() -> Url {
        Url::parse("https://index.test/simple/tool/").unwrap()
    }

    #[test]
    fn reads_json() {
        let page = br#"{"meta": {"api-version": "1.1"}, "name": "tool", "files": [
            {"filename": "tool-1-py3-none-any.whl", "url": "../../f/tool-1-py3-none-any.whl",
             "hashes": {"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
             "size": 7, "yanked": false},
            {"filename": "tool-2.tar.gz", "url": "https://files.test/t", "hashes": {},
             "yanked": "broken"}]}"#;
        let files = parse(&base(), Some("application/vnd.pypi.simple.v1+json"), page).unwrap();
        assert_eq!(files[0].url.as_str(), "https://index.test/f/tool-1-py3-none-any.whl");
        assert_eq!(files[0].sha256, Some(Digest::of(b"")));
        assert_eq!((files[0].size, &files[0].yanked), (Some(7), &None));
        assert_eq!((files[1].sha256, files[1].yanked.as_deref()), (None, Some("broken")));
    }

    #[test]
    fn refuses_a_later_major_version() {
        let page = br#"{"meta": {"api-version": "2.0"}, "files": []}"#;
        let error = parse(&base(), Some("application/json"), page).unwrap_err();
        assert!(matches!(error, IndexError::Version(v) if v == "2.0"));
    }

    #[test]
    fn reads_html() {
        let page = r#"<!DOCTYPE html><html><head><title>A</title></head><body><abbr>x</abbr>
            <a href="/f/tool-1.whl#sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
               data-requires-python="&gt;=3.8">tool-1.whl</a><br/>
            <A data-yanked='' HREF=tool-2.whl>tool-2.whl</A>
            <a data-yanked href="tool-3.whl">tool-3.whl</a></body></html>"#;
        let files = parse(&base(), Some("text/html; charset=utf-8"), page.as_bytes()).unwrap();
        assert_eq!(files.len(), 3);
        assert_eq!(files[0].url.as_str(), "https://index.test/f/tool-1.whl");
        assert_eq!((&files[0].name[..], files[0].sha256), ("tool-1.whl", Some(Digest::of(b""))));
        assert_eq!(files[0].yanked, None);
        assert_eq!(files[1].url.as_str(), "https://index.test/simple/tool/tool-2.whl");
        assert_eq!(files[1].yanked.as_deref(), Some(""));
        assert_eq!(files[2].yanked.as_deref(), Some(""));
    }

    #[test]
    fn names_are_normalized() {
        assert_eq!(normalized("NVIDIA_.Cuda--Runtime"), "nvidia-cuda-runtime");
    }

    proptest! {
        #[test]
        fn html_of_any_kind_is_survived(page in "[<a/> ='\"&;href#é>]{0,80}") {
            let _ = parse(&base(), None, page.as_bytes());
        }
    }
}
