//! Reading Pascal VOC's annotation of a picture: an XML file with the picture's size and objects
//! with a name and a box. Its pixels are counted from 1 and both ends are inside the box: `xmin` 1
//! is the left edge of the picture, `xmax` its width the right one.

use roxmltree::{Document, Node};

use super::{Code, ExactLabels, Finding, PixelLabels, PixelObject, Place, Problem, Unscaled};

/// Parses the content of annotation file `file`. `names` are the classes; without, every name is
/// taken for class 0.
pub fn parse(file: &str, bytes: &[u8], names: Option<&[String]>) -> Unscaled {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let message = "the annotation is not UTF-8 text; its picture is left out".into();
        return unusable(file, None, (Code::LabelNotUtf8, message));
    };
    let malformed = |line, reason: String| {
        let message = format!("{reason}; its picture is left out");
        unusable(file, line, (Code::AnnotationMalformed, message))
    };
    let document = match Document::parse(text.trim_start_matches('\u{feff}')) {
        Ok(document) => document,
        Err(error) => return malformed(line_of(&error), error.to_string()),
    };
    let root = document.root_element();
    if root.tag_name().name() != "annotation" {
        let reason = format!("the file is a `{}`, not an `annotation`", root.tag_name().name());
        return malformed(None, reason);
    }
    let mut labels =
        PixelLabels { file: file.to_owned(), size: size(root), ..PixelLabels::default() };
    let objects = root.children().filter(|node| node.has_tag_name("object"));
    for (i, node) in objects.enumerate() {
        let line = Some(u64::from(document.text_pos_at(node.range().start).row));
        let place = Place { list: "object", index: i };
        if text_of(node, "difficult").is_some_and(|text| text == "1") {
            labels.ignored += 1;
            continue;
        }
        match object(node, names) {
            Ok((class, corners)) => {
                let polygon = Vec::new();
                labels.objects.push(PixelObject { class, corners, polygon, line, place });
            }
            Err((code, message)) => {
                let message = format!("{place}: {message}; it is dropped");
                labels.problems.push(Problem { code, file: file.to_owned(), line, message });
            }
        }
    }
    Unscaled::Pixels(labels)
}

/// None for errors that mean the whole file.
fn line_of(error: &roxmltree::Error) -> Option<u64> {
    use roxmltree::Error::{NoRootNode, UnclosedRootNode, UnexpectedEndOfStream};
    match error {
        NoRootNode | UnclosedRootNode | UnexpectedEndOfStream => None,
        error => Some(u64::from(error.pos().row)),
    }
}

fn unusable(file: &str, line: Option<u64>, (code, message): Finding) -> Unscaled {
    let problem = Problem { code, file: file.to_owned(), line, message };
    Unscaled::Shares(ExactLabels { problems: vec![problem], ..ExactLabels::default() })
}

/// Width and height; none where the file does not say them, or says 0 as some programs do.
fn size(root: Node) -> Option<(u32, u32)> {
    let node = child(root, "size")?;
    let side = |name| text_of(node, name)?.parse().ok().filter(|side| *side > 0);
    side("width").zip(side("height"))
}

/// Class and corners.
fn object(node: Node, names: Option<&[String]>) -> Result<(u32, [f64; 4]), Finding> {
    let missing = |name: &str| (Code::ObjectMalformed, format!("it has no `{name}`"));
    let name = text_of(node, "name").ok_or_else(|| missing("name"))?;
    let class = match names {
        None => 0,
        Some(names) => names
            .iter()
            .position(|known| known == name)
            .ok_or_else(|| (Code::ClassUnknown, format!("`{name}` is none of the classes")))?,
    };
    let bounds = child(node, "bndbox").ok_or_else(|| missing("bndbox"))?;
    let side = |name| number(bounds, name);
    let [left, top, right, bottom] = [side("xmin")?, side("ymin")?, side("xmax")?, side("ymax")?];
    Ok((class as u32, [left - 1.0, top - 1.0, right, bottom]))
}

fn number(node: Node, name: &str) -> Result<f64, Finding> {
    let text = text_of(node, name)
        .ok_or_else(|| (Code::ObjectMalformed, format!("its box has no `{name}`")))?;
    let value: Option<f64> = text.parse().ok().filter(|value: &f64| value.is_finite());
    value.ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        (Code::ObjectMalformed, format!("`{name}` is not a number: `{shown}`"))
    })
}

fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn text_of<'a>(node: Node<'a, 'a>, name: &str) -> Option<&'a str> {
    child(node, name)?.text().map(str::trim)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Labels;

    fn file(objects: &str) -> String {
        format!(
            "<annotation>\n<size><width>200</width><height>100</height></size>\n\
             {objects}\n</annotation>"
        )
    }

    fn object(name: &str, bounds: &str) -> String {
        let sides = ["xmin", "ymin", "xmax", "ymax"];
        let sides = sides.iter().zip(bounds.split(' ')).map(|(s, v)| format!("<{s}>{v}</{s}>"));
        format!(
            "<object><name>{name}</name><bndbox>{}</bndbox></object>\n",
            sides.collect::<String>()
        )
    }

    fn scaled(text: &str) -> Labels {
        let names = ["x", "y"].map(String::from);
        parse("a.xml", text.as_bytes(), Some(&names)).scale(200, 100).into()
    }

    #[test]
    fn pixels_are_counted_from_one() {
        let labels = scaled(&file(&object("y", "1 1 200 100")));
        assert_eq!(labels.problems, []);
        assert_eq!((labels.objects[0].class, labels.objects[0].bbox), (1, [0.5, 0.5, 1.0, 1.0]));
        let labels = scaled(&file(&object("x", "21 11 60 30")));
        assert_eq!(labels.objects[0].bbox, [0.2, 0.2, 0.2, 0.2]);
    }

    #[test]
    fn a_bad_object_costs_itself_and_says_where_it_is() {
        for (bad, code, reason) in [
            (object("z", "1 1 9 9"), Code::ClassUnknown, "`z` is none of the classes"),
            (object("x", "1 1 9"), Code::ObjectMalformed, "its box has no `ymax`"),
            (object("x", "1 1 9 b"), Code::ObjectMalformed, "`ymax` is not a number: `b`"),
            (object("x", "1 1 9 NaN"), Code::ObjectMalformed, "`ymax` is not a number"),
            ("<object><name>x</name></object>".into(), Code::ObjectMalformed, "it has no `bndbox`"),
            ("<object/>".into(), Code::ObjectMalformed, "it has no `name`"),
            (object("x", "9 9 1 1"), Code::ZeroSize, "the box is -7 wide"),
            (object("x", "300 1 310 9"), Code::OutsidePicture, "lies outside the picture"),
        ] {
            let labels = scaled(&file(&(object("x", "1 1 9 9") + &bad)));
            assert_eq!(labels.objects.len(), 1, "{bad}");
            let [problem] = &labels.problems[..] else { panic!("{:?}", labels.problems) };
            assert_eq!((problem.code, problem.line), (code, Some(4)), "{problem:?}");
            assert!(problem.message.starts_with("object[1]: "), "{problem:?}");
            assert!(problem.message.contains(reason), "{problem:?}");
        }
    }

    #[test]
    fn difficult_objects_are_counted_and_not_used() {
        let difficult =
            object("x", "1 1 9 9").replace("<bndbox>", "<difficult>1</difficult><bndbox>");
        let easy = object("y", "1 1 9 9").replace("<bndbox>", "<difficult>0</difficult><bndbox>");
        let labels = scaled(&file(&(difficult + &easy)));
        assert_eq!((labels.objects.len(), labels.ignored, labels.objects[0].class), (1, 1, 1));
    }

    #[test]
    fn a_file_that_means_nothing_leaves_its_picture_out() {
        for (text, code, line) in [
            ("<annotation>\n<size>", Code::AnnotationMalformed, None),
            ("<annotation>\n</size>", Code::AnnotationMalformed, Some(2)),
            ("<html/>", Code::AnnotationMalformed, None),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><annotation/>", Code::AnnotationMalformed, Some(1)),
        ] {
            let labels = scaled(text);
            assert!(!labels.usable, "{text}");
            let [problem] = &labels.problems[..] else { panic!("{:?}", labels.problems) };
            assert_eq!((problem.code, problem.line), (code, line), "{problem:?}");
        }
        let Unscaled::Shares(labels) = parse("a.xml", b"\xff", None) else { panic!("unusable") };
        assert_eq!(labels.problems[0].code, Code::LabelNotUtf8);
    }

    #[test]
    fn without_classes_every_name_is_one() {
        let labels = parse("a.xml", file(&object("any", "1 1 9 9")).as_bytes(), None);
        assert_eq!(labels.scale(200, 100).objects[0].class, 0);
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,80}") {
            let names = ["x".to_owned()];
            parse("a.xml", text.as_bytes(), Some(&names)).scale(9, 9);
            parse("a.xml", file(&text).as_bytes(), Some(&names)).scale(9, 9);
        }
    }
}
