//! What a checkpoint says of a model: its tensors under their state-dict names, class names, picture
//! size. Takes state dicts, bare or in a checkpoint, and the whole modules that Ultralytics pickles;
//! modules are walked as plain data.

use std::collections::BTreeMap;

use super::pickle::{Kind, Object, Pickle, Value};

/// Modules inside modules.
const MAX_DEPTH: usize = 64;
/// Modules, and tensors: a model of ours has under a thousand of each.
const MAX_PARTS: usize = 20_000;

/// Where a tensor's values lie.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorPlan {
    /// Class of the storage, such as `torch.HalfStorage`.
    pub storage: String,
    /// Name of the storage's file.
    pub key: String,
    /// Elements in the storage.
    pub len: i64,
    pub offset: i64,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
}

#[derive(Debug, Default, PartialEq)]
pub struct Checkpoint {
    pub tensors: BTreeMap<String, TensorPlan>,
    pub names: Option<Vec<String>>,
    pub imgsz: Option<u32>,
    /// Epochs trained.
    pub epochs: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("it holds no state dict and no model")]
    NoTensors,
    #[error("its model has too many parts, or is nested too deeply")]
    TooLarge,
}

impl Checkpoint {
    pub fn read(pickle: &Pickle) -> Result<Self, CheckpointError> {
        let reader = Reader { pickle };
        let root = &pickle.root;
        // As Ultralytics does: averaged weights before the others.
        let held =
            ["ema", "model", "state_dict"].into_iter().filter_map(|key| reader.get(root, key));
        for place in held.chain([root]) {
            let mut tensors = BTreeMap::new();
            reader.collect(place, "", 0, &mut 0, &mut tensors)?;
            if !tensors.is_empty() {
                return Ok(Self {
                    tensors,
                    names: reader.names(place),
                    imgsz: reader.imgsz(root, place),
                    epochs: reader.epochs(root),
                });
            }
        }
        Err(CheckpointError::NoTensors)
    }
}

struct Reader<'a> {
    pickle: &'a Pickle,
}

impl<'a> Reader<'a> {
    /// Adds the tensors of a state dict or of a module whose names start with `prefix`.
    fn collect(
        &self,
        place: &Value,
        prefix: &str,
        depth: usize,
        parts: &mut usize,
        tensors: &mut BTreeMap<String, TensorPlan>,
    ) -> Result<(), CheckpointError> {
        *parts += 1;
        if depth > MAX_DEPTH || *parts > MAX_PARTS || tensors.len() > MAX_PARTS {
            return Err(CheckpointError::TooLarge);
        }
        let mut own: Vec<(&str, &Value)> = Vec::new();
        match self.get(place, "_modules") {
            None => own.extend(self.entries(place)),
            Some(modules) => {
                for held in ["_parameters", "_buffers"] {
                    own.extend(self.get(place, held).into_iter().flat_map(|v| self.entries(v)));
                }
                for (name, module) in self.entries(modules) {
                    self.collect(module, &format!("{prefix}{name}."), depth + 1, parts, tensors)?;
                }
            }
        }
        for (name, value) in own {
            if let Some(plan) = self.tensor(value) {
                tensors.insert(format!("{prefix}{name}"), plan);
            }
        }
        Ok(())
    }

    /// Keys that are text, and their values: of a dictionary, or set in an instance.
    fn entries(&self, value: &Value) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        let entries = self.pickle.object(value).map_or(&[][..], |object| &object.entries);
        entries.iter().filter_map(|(key, value)| Some((text(key)?, value)))
    }

    /// The last value under `key` in a dictionary, or in an instance's state.
    fn get(&self, place: &Value, key: &str) -> Option<&'a Value> {
        let object = self.pickle.object(place)?;
        let within = |value| self.entries(value).filter(|(k, _)| *k == key).last().map(|(_, v)| v);
        within(place).or_else(|| within(object.state.as_ref()?))
    }

    fn call(&self, value: &Value, callees: &[&str]) -> Option<&'a [Value]> {
        let Kind::Call { callee: Value::Global(callee), arguments } =
            &self.pickle.object(value)?.kind
        else {
            return None;
        };
        let known = callees.contains(&&**callee);
        known.then(|| self.elements(arguments)).flatten()
    }

    fn elements(&self, value: &Value) -> Option<&'a [Value]> {
        Some(&self.pickle.object(value)?.elements)
    }

    fn tensor(&self, value: &Value) -> Option<TensorPlan> {
        let parameter =
            ["torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"];
        let value = match self.call(value, &parameter) {
            Some(arguments) => arguments.first()?,
            None => value,
        };
        let arguments = self.call(value, &["torch._utils._rebuild_tensor_v2"])?;
        let [storage, offset, shape, strides, ..] = arguments else { return None };
        let Object { kind: Kind::Persistent(identity), .. } = self.pickle.object(storage)? else {
            return None;
        };
        let [_, Value::Global(class), key, _, len] = self.elements(identity)? else { return None };
        let whole =
            |value: &Value| self.elements(value)?.iter().map(int).collect::<Option<Vec<_>>>();
        Some(TensorPlan {
            storage: class.to_string(),
            key: text(key)?.to_owned(),
            len: int(len)?,
            offset: int(offset)?,
            shape: whole(shape)?,
            strides: whole(strides)?,
        })
    }

    /// Class names in the order of their indices: `{0: "a", 1: "b"}` or `["a", "b"]`.
    fn names(&self, module: &Value) -> Option<Vec<String>> {
        let object = self.pickle.object(self.get(module, "names")?)?;
        let by_index: BTreeMap<i64, &Value> = match object.kind {
            Kind::Dict => object.entries.iter().filter_map(|(k, v)| Some((int(k)?, v))).collect(),
            _ => (0..).zip(&object.elements).collect(),
        };
        let in_order = by_index.keys().copied().eq(0..by_index.len() as i64);
        let names = by_index.into_values().map(|name| text(name).map(str::to_owned)).collect();
        if in_order { names } else { None }
    }

    /// From what it was trained with.
    fn imgsz(&self, root: &Value, module: &Value) -> Option<u32> {
        let settings = self.get(root, "train_args").into_iter().chain(self.get(module, "args"));
        let mut sizes = settings.filter_map(|settings| int(self.get(settings, "imgsz")?));
        sizes.find_map(|size| u32::try_from(size).ok())
    }

    fn epochs(&self, root: &Value) -> Option<u32> {
        u32::try_from(int(self.get(root, "epoch")?)?.checked_add(1)?).ok()
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(int) => Some(*int),
        _ => None,
    }
}
