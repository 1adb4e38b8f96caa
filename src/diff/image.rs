//! Two stored images: settings, layers, and the files of the layers that only one of them has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use ybox_spec::Digest;

use super::section::{Difference, Held, Section, Subject, counted};
use super::values;
use crate::image::{ImageError, LOCK_LABEL, LayerFile, RECIPE_LABEL, Store, StoredImage};

/// What an image is compared by.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    pub digest: Digest,
    /// Digests of what it was made from, where its labels say them.
    pub recipe: Option<Digest>,
    pub lock: Option<Digest>,
    /// Environment, entry point, other labels and the like, as in the OCI config.
    settings: Value,
    layers: Vec<Layer>,
}

#[derive(Debug, Clone, PartialEq)]
struct Layer {
    diff_id: Digest,
    /// Empty where the other image has the layer, too.
    files: BTreeMap<String, LayerFile>,
}

/// Reads both images; of layers that both have, no file is looked at.
pub fn read(store: &Store, images: [&StoredImage; 2]) -> Result<[Contents; 2], ImageError> {
    let [a, b] = images;
    let ids = |image| -> Result<BTreeSet<Digest>, ImageError> {
        Ok(store.layers(image)?.iter().map(|layer| layer.diff_id).collect())
    };
    Ok([contents(store, a, &ids(b)?)?, contents(store, b, &ids(a)?)?])
}

fn contents(
    store: &Store,
    image: &StoredImage,
    others: &BTreeSet<Digest>,
) -> Result<Contents, ImageError> {
    let config = store.config(image)?;
    let mut settings = json!(config.config());
    settings["architecture"] = json!(config.architecture());
    if let Some(environment) = settings["Env"].as_array() {
        settings["Env"] = by_variable(environment);
    }
    let mut take = |label: &str| {
        let text = settings["Labels"].as_object_mut()?.remove(label)?;
        text.as_str()?.parse().ok()
    };
    let (recipe, lock) = (take(RECIPE_LABEL), take(LOCK_LABEL));
    let layer = |layer: crate::image::StoredLayer| {
        let files = match others.contains(&layer.diff_id) {
            true => BTreeMap::new(),
            false => store.layer_files(&layer)?,
        };
        Ok(Layer { diff_id: layer.diff_id, files })
    };
    let layers: Result<_, ImageError> = store.layers(image)?.into_iter().map(layer).collect();
    Ok(Contents { digest: image.config, recipe, lock, settings, layers: layers? })
}

/// `NAME=VALUE`s as an object.
fn by_variable(environment: &[Value]) -> Value {
    let pair = |text: &Value| {
        let (name, value) = text.as_str()?.split_once('=')?;
        Some((name.to_owned(), json!(value)))
    };
    environment.iter().filter_map(pair).collect::<Map<_, _>>().into()
}

/// The settings, labels aside, and the paths of the files that differ; a path starts with `/`.
pub fn changed_parts(a: &Contents, b: &Contents) -> Vec<String> {
    let settings = values::changes(&a.settings, &b.settings).into_iter();
    let settings = settings.filter(|setting| !setting.item.starts_with("Labels"));
    settings.chain(files(a, b)).map(|difference| difference.item).collect()
}

pub fn section(a: &Contents, b: &Contents) -> Section {
    let mut differences = values::changes(&a.settings, &b.settings);
    let settings = differences.len();
    differences.extend(layers(a, b));
    let layers = differences.len() - settings;
    let files = files(a, b);
    let mut parts = Vec::new();
    if settings > 0 {
        parts.push(counted(settings, "setting"));
    }
    if layers > 0 {
        parts.push(counted(layers, "layer"));
        parts.push(counted(files.len(), "file"));
    }
    differences.extend(files);
    match differences.is_empty() && a.digest == b.digest {
        true => Section::same(Subject::Image, counted(a.layers.len(), "layer")),
        false => Section::differs(Subject::Image, parts.join(", "), differences),
    }
}

/// The layers that only one of the images has, paired in their order.
fn layers(a: &Contents, b: &Contents) -> Vec<Difference> {
    let ids = |image: &Contents| image.layers.iter().map(|l| l.diff_id).collect::<Vec<_>>();
    let (all_a, all_b) = (ids(a), ids(b));
    let only = |these: &[Digest], those: &[Digest]| -> Vec<_> {
        let numbered = these.iter().copied().zip(1_usize..);
        numbered.filter(|(id, _)| !those.contains(id)).collect()
    };
    let (only_a, only_b) = (only(&all_a, &all_b), only(&all_b, &all_a));
    if only_a.is_empty() && only_b.is_empty() && all_a != all_b {
        let order = |ids: &[Digest]| Some(Held::Value(json!(ids)));
        return vec![Difference::new("order of layers", order(&all_a), order(&all_b))];
    }
    (0..only_a.len().max(only_b.len()))
        .map(|i| {
            let number = only_a.get(i).or(only_b.get(i)).map_or(0, |(_, number)| *number);
            let held = |list: &[(Digest, usize)]| list.get(i).map(|(id, _)| Held::Digest(*id));
            Difference::new(format!("layer {number}"), held(&only_a), held(&only_b))
        })
        .collect()
}

fn files(a: &Contents, b: &Contents) -> Vec<Difference> {
    let all = |image: &Contents| -> BTreeMap<String, LayerFile> {
        image.layers.iter().flat_map(|layer| layer.files.clone()).collect()
    };
    let (a, b) = (all(a), all(b));
    let paths: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    paths
        .into_iter()
        .map(|path| (path, a.get(path), b.get(path)))
        .filter(|(_, a, b)| a != b)
        .map(|(path, a, b)| Difference::new(format!("/{path}"), a.map(held), b.map(held)))
        .collect()
}

fn held(file: &LayerFile) -> Held {
    match file {
        &LayerFile::File { size, sha256, mode } => {
            Held::File { size, sha256, mode: Some(format!("{mode:o}")) }
        }
        LayerFile::Link { target } => Held::Value(json!(format!("link to {target}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(layers: &[&[(&str, &str)]]) -> Contents {
        let file = |content: &str| LayerFile::File {
            size: content.len() as u64,
            sha256: Digest::of(content.as_bytes()),
            mode: 0o644,
        };
        let layer = |files: &&[(&str, &str)]| Layer {
            diff_id: Digest::of(format!("{files:?}").as_bytes()),
            files: files.iter().map(|(path, text)| (path.to_string(), file(text))).collect(),
        };
        Contents {
            digest: Digest::of(format!("{layers:?}").as_bytes()),
            recipe: None,
            lock: None,
            settings: json!({"Env": by_variable(&[json!("A=1"), json!("B=x=y")])}),
            layers: layers.iter().map(layer).collect(),
        }
    }

    #[test]
    fn names_settings_layers_and_files() {
        let a = image(&[&[("lib/a", "1")], &[("bin/t", "old"), ("etc/x", "x")]]);
        let mut b = image(&[&[("lib/a", "1")], &[("bin/t", "new"), ("etc/y", "x")]]);
        b.settings = json!({"Env": by_variable(&[json!("A=2"), json!("B=x=y")])});
        let section = section(&a, &b);
        assert_eq!(section.summary, "1 setting, 1 layer, 3 files");
        let items: Vec<_> = section.differences.iter().map(|d| d.item.as_str()).collect();
        assert_eq!(items, ["Env.A", "layer 2", "/bin/t", "/etc/x", "/etc/y"]);
        assert_eq!(changed_parts(&a, &b), ["Env.A", "/bin/t", "/etc/x", "/etc/y"]);
        assert_eq!(super::section(&a, &a).summary, "2 layers");
    }

    #[test]
    fn a_mode_a_link_and_the_order_of_layers_are_differences() {
        let a = image(&[&[("a", "1")], &[("b", "2")]]);
        let b = image(&[&[("b", "2")], &[("a", "1")]]);
        assert_eq!(layers(&a, &b)[0].item, "order of layers");
        let mut c = a.clone();
        c.layers[0].diff_id = Digest::of(b"other");
        let link = LayerFile::Link { target: "b".into() };
        c.layers[0].files.insert("a".into(), link);
        let found = files(&a, &c);
        assert_eq!(found[0].b.as_ref().unwrap().to_string(), "link to b");
        assert_eq!(found[0].a.as_ref().unwrap().to_string(), "1 B, 6b86b273ff34, mode 644");
    }

    #[test]
    fn a_layer_that_one_has_alone_is_named() {
        let (a, b) = (image(&[&[("a", "1")]]), image(&[&[("a", "1")], &[("b", "2")]]));
        let section = section(&a, &b);
        assert_eq!(section.summary, "1 layer, 1 file");
        assert_eq!(
            (section.differences[0].item.as_str(), &section.differences[0].a),
            ("layer 2", &None)
        );
    }
}
