//! A graph under construction: nodes in the order of computation, constants, and the model's
//! tensors that have not become part of it yet. What is computed is said by `network` and `head`.

use std::collections::BTreeMap;

use super::onnx::{Attribute, Constant, Node};
use crate::model::NORM_EPS;

/// A tensor of the model on the host.
#[derive(Debug, Clone)]
pub struct Array {
    pub shape: Vec<i64>,
    pub values: Vec<f32>,
}

/// A value `[1, c, h, w]` of the graph.
#[derive(Debug, Clone)]
pub struct Map {
    pub name: String,
    pub c: i64,
    pub h: i64,
    pub w: i64,
}

/// How a convolution moves over its input, and whether SiLU follows.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub stride: i64,
    pub activated: bool,
}

/// Every cell, with SiLU.
pub const DENSE: Step = Step { stride: 1, activated: true };
/// Every second cell, with SiLU.
pub const HALVING: Step = Step { stride: 2, activated: true };
/// Every cell, without activation.
pub const LINEAR: Step = Step { stride: 1, activated: false };

#[derive(Debug)]
pub struct Builder {
    /// What of the state dict is not in the graph yet.
    state: BTreeMap<String, Array>,
    pub nodes: Vec<Node>,
    pub constants: Vec<Constant>,
}

impl Builder {
    pub fn new(state: BTreeMap<String, Array>) -> Self {
        Self { state, nodes: Vec::new(), constants: Vec::new() }
    }

    /// Names of the tensors that no part of the graph took.
    pub fn left_over(&self) -> Vec<String> {
        self.state.keys().cloned().collect()
    }

    /// Whether there are tensors below `prefix` that are not in the graph yet.
    pub fn has(&self, prefix: &str) -> bool {
        let below = format!("{prefix}.");
        self.state.contains_key(prefix)
            || self.state.range(below.clone()..).next().is_some_and(|(k, _)| k.starts_with(&below))
    }

    /// Takes a tensor of the model.
    pub fn take(&mut self, name: &str) -> Array {
        self.state.remove(name).unwrap_or_else(|| panic!("every model of this kind has {name}"))
    }

    /// Adds a node with one output; returns the output's name.
    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let [output] = self.nodes(op, inputs, attributes);
        output
    }

    /// Adds a node with `N` outputs.
    pub fn nodes<const N: usize>(
        &mut self,
        op: &str,
        inputs: &[&str],
        attribute: Vec<Attribute>,
    ) -> [String; N] {
        let name = format!("{}_{op}", self.nodes.len());
        let output =
            std::array::from_fn(|i| if N == 1 { name.clone() } else { format!("{name}_{i}") });
        self.nodes.push(Node {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: output.to_vec(),
            name,
            op_type: op.into(),
            attribute,
        });
        output
    }

    /// Adds an fp32 constant; returns its name.
    pub fn floats(&mut self, name: &str, dims: &[i64], values: &[f32]) -> String {
        self.constants.push(Constant::floats(name.into(), dims, values));
        name.into()
    }

    /// Adds a vector of whole numbers, such as a shape; returns its name.
    pub fn ints(&mut self, values: &[i64]) -> String {
        let name = format!("c{}", self.constants.len());
        self.constants.push(Constant::ints(name.clone(), &[values.len() as i64], values));
        name
    }

    /// Adds a whole number; returns its name.
    pub fn int(&mut self, value: i64) -> String {
        let name = format!("c{}", self.constants.len());
        self.constants.push(Constant::ints(name.clone(), &[], &[value]));
        name
    }

    pub fn reshape(&mut self, x: &str, shape: &[i64]) -> String {
        let shape = self.ints(shape);
        self.node("Reshape", &[x, &shape], vec![])
    }

    pub fn transpose(&mut self, x: &str, order: &[i64]) -> String {
        self.node("Transpose", &[x], vec![Attribute::ints("perm", order)])
    }

    pub fn concat(&mut self, parts: &[&str], axis: i64) -> String {
        self.node("Concat", parts, vec![Attribute::int("axis", axis)])
    }

    /// Cuts `x` along `axis` into `N` pieces of `size`.
    pub fn split<const N: usize>(&mut self, x: &str, axis: i64, size: i64) -> [String; N] {
        let sizes = self.ints(&[size; N]);
        self.nodes("Split", &[x, &sizes], vec![Attribute::int("axis", axis)])
    }

    pub fn add(&mut self, a: &str, b: &str) -> String {
        self.node("Add", &[a, b], vec![])
    }

    pub fn mul(&mut self, a: &str, b: &str) -> String {
        self.node("Mul", &[a, b], vec![])
    }

    /// The normalised convolution `at`: one Conv node, the normalisation folded into its weights.
    pub fn conv(&mut self, at: &str, x: &Map, step: Step) -> Map {
        let (weight, bias) = self.folded(at);
        self.convolution(at, x, step, &weight, &bias)
    }

    /// The convolution `at` that has a bias and is not normalised.
    pub fn biased_conv(&mut self, at: &str, x: &Map) -> Map {
        let weight = self.take(&format!("{at}.weight"));
        let bias = self.take(&format!("{at}.bias"));
        self.convolution(at, x, LINEAR, &weight, &bias.values)
    }

    /// Weight and bias of convolution and normalisation in one, computed in f64.
    fn folded(&mut self, at: &str) -> (Array, Vec<f32>) {
        let mut weight = self.take(&format!("{at}.conv.weight"));
        let [gain, shift, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|name| self.take(&format!("{at}.bn.{name}")).values);
        let filter = weight.values.len() / gain.len();
        let mut bias = Vec::with_capacity(gain.len());
        for (channel, values) in weight.values.chunks_exact_mut(filter).enumerate() {
            let [gain, shift, mean, variance] =
                [&gain, &shift, &mean, &variance].map(|values| f64::from(values[channel]));
            let scale = gain / (variance + NORM_EPS).sqrt();
            values.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
            bias.push((shift - mean * scale) as f32);
        }
        (weight, bias)
    }

    fn convolution(&mut self, at: &str, x: &Map, step: Step, weight: &Array, bias: &[f32]) -> Map {
        let [c2, per_group, k, _] = weight.shape[..] else { panic!("{at} is a convolution") };
        let stride = step.stride;
        let kernel = self.floats(&format!("{at}.weight"), &weight.shape, &weight.values);
        let bias = self.floats(&format!("{at}.bias"), &[c2], bias);
        let attributes = vec![
            Attribute::ints("dilations", &[1, 1]),
            Attribute::int("group", x.c / per_group),
            Attribute::ints("kernel_shape", &[k, k]),
            Attribute::ints("pads", &[k / 2; 4]),
            Attribute::ints("strides", &[stride, stride]),
        ];
        let mut name = self.node("Conv", &[&x.name, &kernel, &bias], attributes);
        if step.activated {
            let gate = self.node("Sigmoid", &[&name], vec![]);
            name = self.mul(&name, &gate);
        }
        Map { name, c: c2, h: x.h / stride, w: x.w / stride }
    }
}
