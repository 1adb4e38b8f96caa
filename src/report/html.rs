//! Pieces of HTML: escaping, tables, pictures inside the page.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// `text` as it can stand between tags and in attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A section with a heading; nothing where `content` is empty.
pub fn section(id: &str, heading: &str, content: &str) -> String {
    match content.is_empty() {
        true => String::new(),
        false => {
            format!("<section id=\"{id}\">\n<h2>{}</h2>\n{content}</section>\n", escape(heading))
        }
    }
}

/// A table; cells are escaped here. Columns from `numbers` on are aligned right.
pub fn table(header: &[&str], rows: &[Vec<String>], numbers: usize) -> String {
    let class = |i: usize| if i >= numbers { " class=\"n\"" } else { "" };
    let mut text = String::from("<div class=\"scroll\"><table>\n<thead><tr>");
    for (i, cell) in header.iter().enumerate() {
        let _ = write!(text, "<th scope=\"col\"{}>{}</th>", class(i), escape(cell));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        text.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            let _ = write!(text, "<td{}>{}</td>", class(i), escape(cell));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody></table></div>\n");
    text
}

/// Names and values side by side, in as many columns as there is room for.
pub fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut text = String::from("<dl class=\"pairs\">\n");
    for (name, value) in pairs {
        let _ = writeln!(text, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(&value));
    }
    text.push_str("</dl>\n");
    text
}

/// A picture within the page, with its name below.
pub fn picture(name: &str, caption: &str, bytes: &[u8]) -> String {
    let kind = match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()) {
        Some(extension) if extension == "png" => "image/png",
        Some(extension) if extension == "bmp" => "image/bmp",
        Some(extension) if extension == "webp" => "image/webp",
        _ => "image/jpeg",
    };
    format!(
        "<figure><img loading=\"lazy\" alt=\"{0}\" src=\"data:{kind};base64,{1}\">\
         <figcaption>{0} <code>{2}</code></figcaption></figure>\n",
        escape(caption),
        STANDARD.encode(bytes),
        escape(name),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_given_becomes_a_tag() {
        let bad = "<script>alert('&\"')</script>\u{0}";
        for text in [
            escape(bad),
            table(&[bad], &[vec![bad.to_owned()]], 1),
            pairs([(bad, bad.to_owned())]),
            picture(bad, bad, b"x"),
            section("id", bad, "x"),
        ] {
            assert!(!text.contains("<script") && !text.contains("alert('"), "{text}");
        }
    }
}
