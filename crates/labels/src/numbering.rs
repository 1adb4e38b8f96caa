//! How COCO's files number pictures and classes: the same in what the trainer finds and in data
//! sets that are converted, so that the one can be scored against the other.

use std::path::Path;

use serde::Serialize;

/// What a picture is called: the number that its file's stem is, else the stem.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum ImageId {
    Number(u64),
    Name(String),
}

impl ImageId {
    /// Of the picture at `path`.
    pub fn of(path: &str) -> Self {
        let stem = Path::new(path).file_stem().and_then(|s| s.to_str()).unwrap_or(path);
        let digits = stem.bytes().all(|byte| byte.is_ascii_digit());
        match stem.parse() {
            Ok(number) if digits => Self::Number(number),
            _ => Self::Name(stem.to_owned()),
        }
    }
}

/// COCO's 80 classes have ids up to 90, without these.
const UNUSED_IDS: [u64; 10] = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83];

/// Ids of the classes called `names`: they count from 1; COCO's own classes have their own ids.
pub fn category_ids(names: &[String]) -> Vec<u64> {
    let ends = (names.first().map(String::as_str), names.last().map(String::as_str));
    let is_coco = names.len() == 80 && ends == (Some("person"), Some("toothbrush"));
    (1..).filter(|id| !is_coco || !UNUSED_IDS.contains(id)).take(names.len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_called_by_number_where_they_have_one() {
        let name = |name: &str| ImageId::Name(name.into());
        assert_eq!(ImageId::of("images/val/000000000139.jpg"), ImageId::Number(139));
        assert_eq!(ImageId::of("a/frame.07.png"), name("frame.07"));
        assert_eq!(ImageId::of("+7.png"), name("+7"));
        let long = "99999999999999999999999";
        assert_eq!(ImageId::of(&format!("{long}.png")), name(long));
    }

    #[test]
    fn categories_count_from_one_and_are_cocos_own_for_its_classes() {
        let mut names: Vec<String> = (0..80).map(|i| i.to_string()).collect();
        assert_eq!(category_ids(&names)[79], 80);
        (names[0], names[79]) = ("person".into(), "toothbrush".into());
        let ids = category_ids(&names);
        assert_eq!([ids[0], ids[10], ids[11], ids[79]], [1, 11, 13, 90]);
    }
}
