//! The named tensors of a model: what an optimizer updates, what a state dict holds. Building
//! blocks register theirs through a [`Scope`] in the order of the published state dicts. How
//! initial values are drawn is `init`'s.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Display};

use tch::{Device, Kind, Tensor, no_grad};

use super::init::{self, Init};

/// How an optimizer treats a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParameterKind {
    /// A convolution's weight: decayed.
    Weight,
    /// A normalisation's weight, or the gamma of a residual: not decayed.
    Norm,
    /// A bias: not decayed, and warmed up from its own learning rate.
    Bias,
}

/// A tensor that is trained. `tensor` shares its storage with the model.
#[derive(Debug)]
pub struct Parameter {
    pub name: String,
    pub tensor: Tensor,
    pub kind: ParameterKind,
}

/// A running mean or variance of a batch normalisation. `tensor` shares its storage with the
/// model.
#[derive(Debug)]
pub struct Buffer {
    pub name: String,
    pub tensor: Tensor,
}

/// What a named tensor is to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Trained(ParameterKind),
    /// Counted among the parameters, but never trained.
    Frozen,
    Running,
    /// Batches that the running statistics have seen, a whole number.
    Count,
}

/// Why a state dict does not fit a model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StateDictError {
    pub missing: Vec<String>,
    pub unexpected: Vec<String>,
    /// Name, the model's shape, the shape found.
    pub misshapen: Vec<(String, Vec<i64>, Vec<i64>)>,
}

impl std::error::Error for StateDictError {}

impl Display for StateDictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shapes = self.misshapen.iter();
        let shapes = shapes.map(|(name, want, got)| format!("{name} is {got:?}, not {want:?}"));
        let parts = [
            first_few("missing", &self.missing),
            first_few("unexpected", &self.unexpected),
            first_few("of another shape", &shapes.collect::<Vec<_>>()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        write!(f, "the weights do not fit the model: {}", parts.join("; "))
    }
}

fn first_few(what: &str, names: &[String]) -> Option<String> {
    const SHOWN: usize = 3;
    let ellipsis = if names.len() > SHOWN { ", ..." } else { "" };
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| format!("{} {what} ({shown}{ellipsis})", names.len()))
}

#[derive(Debug)]
struct Entry {
    name: String,
    tensor: Tensor,
    role: Role,
    init: Init,
}

/// All named tensors of a model, in the order in which its blocks registered them.
#[derive(Debug)]
pub(super) struct Registry {
    device: Device,
    entries: RefCell<Vec<Entry>>,
}

impl Registry {
    pub fn new(device: Device) -> Self {
        Self { device, entries: RefCell::default() }
    }

    /// The scope of names that start with `prefix`.
    pub fn scope(&self, prefix: impl Display) -> Scope<'_> {
        Scope { registry: self, prefix: prefix.to_string(), conv_init: Init::FanIn }
    }

    pub fn parameters(&self) -> Vec<Parameter> {
        self.collect(|e| match e.role {
            Role::Trained(kind) => {
                Some(Parameter { name: e.name.clone(), tensor: e.tensor.shallow_clone(), kind })
            }
            _ => None,
        })
    }

    pub fn buffers(&self) -> Vec<Buffer> {
        self.collect(|e| {
            let buffer = || Buffer { name: e.name.clone(), tensor: e.tensor.shallow_clone() };
            (e.role == Role::Running).then(buffer)
        })
    }

    pub fn parameter_count(&self) -> usize {
        let counted = |e: &Entry| matches!(e.role, Role::Trained(_) | Role::Frozen);
        self.collect(|e| counted(e).then(|| e.tensor.numel())).into_iter().sum()
    }

    /// Names and tensors in registration order, sharing the model's storage, without gradients.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.collect(|e| Some((e.name.clone(), e.tensor.detach())))
    }

    /// Draws every tensor's initial value from `seed` and its name.
    pub fn init(&self, seed: u64) {
        for entry in self.entries.borrow().iter() {
            let values = init::draw(entry.init, seed, &entry.name, &entry.tensor.size());
            let values = Tensor::from_slice(&values).view_as(&entry.tensor);
            no_grad(|| entry.tensor.shallow_clone().copy_(&values));
        }
    }

    /// Takes the parameters of the chosen layers out of training.
    pub fn freeze(&self, chosen: impl Fn(u32) -> bool) {
        for entry in self.entries.borrow().iter() {
            let layer = entry.name.split('.').nth(1).and_then(|number| number.parse().ok());
            if matches!(entry.role, Role::Trained(_)) && layer.is_some_and(&chosen) {
                let _ = entry.tensor.set_requires_grad(false);
            }
        }
    }

    /// Copies `state` into the model, or changes nothing.
    pub fn load(&self, state: &[(String, Tensor)]) -> Result<(), StateDictError> {
        let mut given: BTreeMap<&str, &Tensor> =
            state.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let mut error = StateDictError::default();
        let mut copies = Vec::new();
        for entry in self.entries.borrow().iter() {
            let (name, want) = (&entry.name, entry.tensor.size());
            match given.remove(name.as_str()) {
                None => error.missing.push(name.clone()),
                Some(source) if source.size() != want => {
                    error.misshapen.push((name.clone(), want, source.size()));
                }
                Some(source) => copies.push((entry.tensor.shallow_clone(), source)),
            }
        }
        error.unexpected = given.into_keys().map(str::to_owned).collect();
        if error != StateDictError::default() {
            return Err(error);
        }
        no_grad(|| copies.into_iter().for_each(|(mut tensor, source)| tensor.copy_(source)));
        Ok(())
    }

    fn collect<T>(&self, pick: impl Fn(&Entry) -> Option<T>) -> Vec<T> {
        self.entries.borrow().iter().filter_map(pick).collect()
    }
}

/// A dotted prefix under which a building block registers its tensors.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    registry: &'a Registry,
    prefix: String,
    conv_init: Init,
}

impl Scope<'_> {
    /// The scope one level down.
    pub fn at(&self, name: impl Display) -> Self {
        Self { prefix: format!("{}.{name}", self.prefix), ..self.clone() }
    }

    /// The same scope with another initialisation for the convolutions in it.
    pub fn with_conv_init(&self, conv_init: Init) -> Self {
        Self { conv_init, ..self.clone() }
    }

    /// A convolution's weight `[c2, c1 / groups, k, k]`.
    pub fn conv_weight(&self, shape: &[i64]) -> Tensor {
        let role = Role::Trained(ParameterKind::Weight);
        self.register("weight", shape, Kind::Float, role, self.conv_init)
    }

    /// A tensor that is trained and starts from one constant.
    pub fn trained(&self, name: &str, shape: &[i64], kind: ParameterKind, start: f64) -> Tensor {
        self.register(name, shape, Kind::Float, Role::Trained(kind), Init::Constant(start))
    }

    /// A running statistic that starts from one constant.
    pub fn running(&self, name: &str, shape: &[i64], start: f64) -> Tensor {
        self.register(name, shape, Kind::Float, Role::Running, Init::Constant(start))
    }

    /// A count of batches, starting at 0.
    pub fn count(&self, name: &str) -> Tensor {
        self.register(name, &[], Kind::Int64, Role::Count, Init::Constant(0.0))
    }

    /// The weight `[1, bins, 1, 1]` with the values 0, 1, 2, ... that is never trained.
    pub fn bins(&self, bins: i64) -> Tensor {
        self.register("weight", &[1, bins, 1, 1], Kind::Float, Role::Frozen, Init::Bins)
    }

    fn register(&self, name: &str, shape: &[i64], kind: Kind, role: Role, init: Init) -> Tensor {
        let trained = matches!(role, Role::Trained(_));
        let tensor = zeros(shape, (kind, self.registry.device)).set_requires_grad(trained);
        self.registry.entries.borrow_mut().push(Entry {
            name: format!("{}.{name}", self.prefix),
            tensor: tensor.shallow_clone(),
            role,
            init,
        });
        tensor
    }
}

/// Zeros in the memory order of the maps: of four dimensions the second runs fastest.
fn zeros(shape: &[i64], options: (Kind, Device)) -> Tensor {
    match *shape {
        [n, c, h, w] => Tensor::zeros([n, h, w, c], options).permute([0, 3, 1, 2]),
        _ => Tensor::zeros(shape, options),
    }
}
