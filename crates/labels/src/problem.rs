//! What can be wrong with a picture or a label without stopping a run, and what becomes of it.
//!
//! | code | what | outcome |
//! |---|---|---|
//! | `picture-unreadable` | a picture does not decode, or is beyond the size limits | the picture is left out |
//! | `label-not-utf8` | a label file is not UTF-8 | its picture is left out |
//! | `field-count` | neither `class cx cy w h` nor `class` and three or more points | the line is dropped |
//! | `not-a-number` | a field is not a number | the line is dropped |
//! | `not-finite` | a field is NaN or infinite | the line is dropped |
//! | `class-not-integer` | a class is negative or has a fraction | the line is dropped |
//! | `class-out-of-range` | a class is not below the number of classes | the line is dropped |
//! | `outside-picture` | a number lies below -0.01 or above 1.01 | the line is dropped |
//! | `box-clipped` | an edge of a box overshoots the picture by more than 0.01 | the box is clipped and kept |
//! | `zero-size` | a box has no width or no height, at once or after clipping | the line is dropped |
//! | `duplicate` | a line says the same as an earlier one | one is kept |
//! | `annotation-malformed` | a VOC file is not XML, or not an annotation | its picture is left out |
//! | `size-differs` | COCO or VOC gives the picture another size than it has | the picture is left out |
//! | `object-malformed` | a COCO or VOC object lacks a field, or one has the wrong type | the object is dropped |
//! | `class-unknown` | a COCO category or a VOC name is none of the classes | the object is dropped |
//! | `picture-unknown` | a COCO object is on a picture that the file does not list | the object is dropped |
//! | `polygon-dropped` | a COCO outline is run-length encoded, malformed or outside | the box is kept |
//! | `picture-unlisted` | the COCO file does not list a picture of the split | the picture is left out |
//! | `ignored` | objects with `iscrowd` or `difficult`, counted for the split | they are not used |
//!
//! No problem at all: no label file or an empty one (the picture is background), blank lines,
//! CRLF, spaces at either end, a byte order mark, numbers or edges that overshoot by at most 0.01
//! (they are clipped), a class written like `1.0`. For boxes in pixels the same bounds hold once
//! they are shares of the picture.

use ybox_spec::events::Event;

/// Stable kinds of problems; see the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    PictureUnreadable,
    LabelNotUtf8,
    FieldCount,
    NotANumber,
    NotFinite,
    ClassNotInteger,
    ClassOutOfRange,
    OutsidePicture,
    BoxClipped,
    ZeroSize,
    Duplicate,
    AnnotationMalformed,
    SizeDiffers,
    ObjectMalformed,
    ClassUnknown,
    PictureUnknown,
    PolygonDropped,
    PictureUnlisted,
    Ignored,
}

impl Code {
    pub const ALL: [Self; 19] = [
        Self::PictureUnreadable,
        Self::LabelNotUtf8,
        Self::FieldCount,
        Self::NotANumber,
        Self::NotFinite,
        Self::ClassNotInteger,
        Self::ClassOutOfRange,
        Self::OutsidePicture,
        Self::BoxClipped,
        Self::ZeroSize,
        Self::Duplicate,
        Self::AnnotationMalformed,
        Self::SizeDiffers,
        Self::ObjectMalformed,
        Self::ClassUnknown,
        Self::PictureUnknown,
        Self::PolygonDropped,
        Self::PictureUnlisted,
        Self::Ignored,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::PictureUnreadable => "picture-unreadable",
            Self::LabelNotUtf8 => "label-not-utf8",
            Self::FieldCount => "field-count",
            Self::NotANumber => "not-a-number",
            Self::NotFinite => "not-finite",
            Self::ClassNotInteger => "class-not-integer",
            Self::ClassOutOfRange => "class-out-of-range",
            Self::OutsidePicture => "outside-picture",
            Self::BoxClipped => "box-clipped",
            Self::ZeroSize => "zero-size",
            Self::Duplicate => "duplicate",
            Self::AnnotationMalformed => "annotation-malformed",
            Self::SizeDiffers => "size-differs",
            Self::ObjectMalformed => "object-malformed",
            Self::ClassUnknown => "class-unknown",
            Self::PictureUnknown => "picture-unknown",
            Self::PolygonDropped => "polygon-dropped",
            Self::PictureUnlisted => "picture-unlisted",
            Self::Ignored => "ignored",
        }
    }
}

/// One problem, where it is, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: Code,
    /// Relative to the data set's root.
    pub file: String,
    /// From 1; none where the whole file is meant.
    pub line: Option<u64>,
    pub message: String,
}

impl From<&Problem> for Event {
    fn from(problem: &Problem) -> Self {
        Self::Note {
            code: problem.code.name().into(),
            message: problem.message.clone(),
            file: Some(problem.file.clone()),
            line: problem.line,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_in_the_table_and_none_twice() {
        let names: BTreeSet<_> = Code::ALL.map(Code::name).into();
        assert_eq!(names.len(), Code::ALL.len());
        let table = include_str!("problem.rs");
        for name in names {
            assert!(table.contains(&format!("//! | `{name}` |")), "{name}");
        }
    }
}
