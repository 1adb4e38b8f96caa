//! What a COCO annotation file says of its pictures and categories. The objects themselves are
//! for those who read labels.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

/// A picture, as the annotation file lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Image {
    pub id: i64,
    /// The end of the picture's path.
    pub file_name: String,
    /// Pixels; none, or 0, where the file does not say.
    pub width: Option<u32>,
    pub height: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Category {
    pub id: i64,
    pub name: String,
}

/// Pictures and categories; the categories in the order of their ids, which is that of the class
/// indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub images: Vec<Image>,
    pub categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Document {
    images: Vec<Image>,
    categories: Vec<Category>,
}

impl Index {
    /// Reads them from the content of an annotation file. The error says where and why.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        Self::new(document.images, document.categories)
    }

    /// Refuses what occurs twice: ids and file names of pictures, ids and names of categories.
    pub fn new(images: Vec<Image>, mut categories: Vec<Category>) -> Result<Self, String> {
        refuse_repetition("images", "id", images.iter().map(|i| i.id))?;
        refuse_repetition("images", "file_name", images.iter().map(|i| i.file_name.as_str()))?;
        refuse_repetition("categories", "id", categories.iter().map(|c| c.id))?;
        refuse_repetition("categories", "name", categories.iter().map(|c| c.name.as_str()))?;
        categories.sort_by_key(|category| category.id);
        Ok(Self { images, categories })
    }

    /// Class names in the order of the class indices.
    pub fn names(&self) -> Vec<String> {
        self.categories.iter().map(|c| c.name.clone()).collect()
    }
}

fn refuse_repetition<T: std::hash::Hash + Eq + std::fmt::Debug>(
    list: &str,
    field: &str,
    values: impl Iterator<Item = T>,
) -> Result<(), String> {
    let mut seen = HashMap::new();
    for (i, value) in values.enumerate() {
        if let Some(first) = seen.get(&value) {
            return Err(format!("{list}[{i}].{field} is that of {list}[{first}]: {value:?}"));
        }
        seen.insert(value, i);
    }
    Ok(())
}

/// For each of `pictures` (paths with `/`) the index of the one of `names` that it ends with, by
/// whole components; of several the longest. None for a picture that no name fits.
///
/// The error names a file name that is the end of two pictures.
pub fn match_names(pictures: &[&str], names: &[&str]) -> Result<Vec<Option<usize>>, String> {
    let known: HashMap<&str, usize> =
        names.iter().enumerate().map(|(i, name)| (name.trim_start_matches("./"), i)).collect();
    let mut taken = HashSet::new();
    pictures
        .iter()
        .map(|picture| {
            let found = ends(picture).find_map(|end| known.get(end).copied());
            match found {
                Some(i) if !taken.insert(i) => {
                    Err(format!("the file name {:?} is the end of two pictures' paths", names[i]))
                }
                found => Ok(found),
            }
        })
        .collect()
}

/// `a/b/c`, `b/c`, `c`.
fn ends(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |rest| rest.split_once('/').map(|(_, end)| end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_sorted_by_id_and_repetitions_refused() {
        let text = br#"{"images": [{"id": 1, "file_name": "a.jpg", "width": 3, "height": 2}],
            "annotations": [], "categories": [{"id": 7, "name": "x"}, {"id": 2, "name": "y"}]}"#;
        assert_eq!(Index::parse(text).unwrap().names(), ["y", "x"]);
        let image =
            |id, name: &str| Image { id, file_name: name.into(), width: None, height: None };
        let error = Index::new(vec![image(1, "a"), image(2, "b"), image(1, "c")], vec![]);
        assert_eq!(error.unwrap_err(), "images[2].id is that of images[0]: 1");
        let error = Index::parse(b"{\"images\": [],\n\"categories\": [{\"id\": \"1\"}]}");
        assert!(error.unwrap_err().contains("line 2"));
    }

    #[test]
    fn file_names_are_the_ends_of_paths() {
        let pictures = ["images/a/1.jpg", "images/1.jpg", "images/x1.jpg", "images/b/2.jpg"];
        let names = ["1.jpg", "a/1.jpg", "./b/2.jpg"];
        let found = match_names(&pictures, &names).unwrap();
        assert_eq!(found, [Some(1), Some(0), None, Some(2)]);
        let error = match_names(&["a/1.jpg", "b/1.jpg"], &["1.jpg"]).unwrap_err();
        assert_eq!(error, "the file name \"1.jpg\" is the end of two pictures' paths");
    }
}
