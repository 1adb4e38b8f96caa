//! The 21 layers of YOLOv12 as nodes: the counterpart of `crate::model` up to the head. What the
//! variants differ in (widths, depths, groups, the kind of inner modules, gamma) shows in the
//! names and shapes of the state dict and is taken from there.

use super::builder::{Builder, DENSE, HALVING, LINEAR, Map};
use super::onnx::Attribute;
use crate::model::HEAD_DIM;

#[derive(Debug, Clone, Copy)]
enum Layer {
    Halving,
    C3k2,
    /// With attention in this many areas, where it has attention.
    A2C2f(i64),
    Upsample,
    Concat(usize),
}

#[rustfmt::skip]
const LAYERS: [Layer; 21] = {
    use Layer::{A2C2f, C3k2, Concat, Halving, Upsample};
    [
        Halving, Halving, C3k2, Halving, C3k2, Halving, A2C2f(4), Halving, A2C2f(1),
        Upsample, Concat(6), A2C2f(1),
        Upsample, Concat(4), A2C2f(1),
        Halving, Concat(11), A2C2f(1),
        Halving, Concat(8), C3k2,
    ]
};

const HEAD_INPUTS: [usize; 3] = [14, 17, 20];

/// The maps that the head reads.
pub fn features(g: &mut Builder, image: Map) -> [Map; 3] {
    let mut outputs: Vec<Map> = Vec::with_capacity(LAYERS.len());
    for (i, layer) in LAYERS.into_iter().enumerate() {
        let (at, x) = (format!("model.{i}"), outputs.last().unwrap_or(&image).clone());
        outputs.push(match layer {
            Layer::Halving => g.conv(&at, &x, HALVING),
            Layer::C3k2 => c3k2(g, &at, &x),
            Layer::A2C2f(area) => a2c2f(g, &at, &x, area),
            Layer::Upsample => upsample(g, &x),
            Layer::Concat(from) => join(g, &[x, outputs[from].clone()]),
        });
    }
    HEAD_INPUTS.map(|i| outputs[i].clone())
}

fn join(g: &mut Builder, maps: &[Map]) -> Map {
    let names: Vec<&str> = maps.iter().map(|map| map.name.as_str()).collect();
    let name = g.concat(&names, 1);
    Map { name, c: maps.iter().map(|map| map.c).sum(), ..maps[0] }
}

fn plus(g: &mut Builder, a: &Map, b: &Map) -> Map {
    Map { name: g.add(&a.name, &b.name), ..*a }
}

fn upsample(g: &mut Builder, x: &Map) -> Map {
    let name = format!("upsampling.{}", g.nodes.len());
    let scales = g.floats(&name, &[4], &[1.0, 1.0, 2.0, 2.0]);
    let attributes = vec![
        Attribute::text("coordinate_transformation_mode", "asymmetric"),
        Attribute::text("mode", "nearest"),
        Attribute::text("nearest_mode", "floor"),
    ];
    let name = g.node("Resize", &[&x.name, "", &scales], attributes);
    Map { name, c: x.c, h: 2 * x.h, w: 2 * x.w }
}

fn bottleneck(g: &mut Builder, at: &str, x: &Map) -> Map {
    let hidden = g.conv(&format!("{at}.cv1"), x, DENSE);
    let out = g.conv(&format!("{at}.cv2"), &hidden, DENSE);
    plus(g, x, &out)
}

fn c3k(g: &mut Builder, at: &str, x: &Map) -> Map {
    let mut deep = g.conv(&format!("{at}.cv1"), x, DENSE);
    for i in 0..2 {
        deep = bottleneck(g, &format!("{at}.m.{i}"), &deep);
    }
    let shallow = g.conv(&format!("{at}.cv2"), x, DENSE);
    let both = join(g, &[deep, shallow]);
    g.conv(&format!("{at}.cv3"), &both, DENSE)
}

/// Runs the inner modules of `at` in a row, adding their outputs to `pieces`, and joins all.
fn aggregate(g: &mut Builder, at: &str, mut pieces: Vec<Map>, area: i64) -> Map {
    let mut i = 0;
    while g.has(&format!("{at}.m.{i}")) {
        let last = pieces[pieces.len() - 1].clone();
        pieces.push(inner(g, &format!("{at}.m.{i}"), &last, area));
        i += 1;
    }
    let all = join(g, &pieces);
    g.conv(&format!("{at}.cv2"), &all, DENSE)
}

fn inner(g: &mut Builder, at: &str, x: &Map, area: i64) -> Map {
    if g.has(&format!("{at}.0.attn")) {
        let x = ablock(g, &format!("{at}.0"), x, area);
        ablock(g, &format!("{at}.1"), &x, area)
    } else if g.has(&format!("{at}.cv3")) {
        c3k(g, at, x)
    } else {
        bottleneck(g, at, x)
    }
}

fn c3k2(g: &mut Builder, at: &str, x: &Map) -> Map {
    let both = g.conv(&format!("{at}.cv1"), x, DENSE);
    let c = both.c / 2;
    let halves: [String; 2] = g.split(&both.name, 1, c);
    let pieces = halves.map(|name| Map { name, c, ..both });
    aggregate(g, at, pieces.into(), 1)
}

fn a2c2f(g: &mut Builder, at: &str, x: &Map, area: i64) -> Map {
    let first = g.conv(&format!("{at}.cv1"), x, DENSE);
    let out = aggregate(g, at, vec![first], area);
    let gamma = format!("{at}.gamma");
    if !g.has(&gamma) {
        return out;
    }
    let values = g.take(&gamma).values;
    let gamma = g.floats(&gamma, &[1, out.c, 1, 1], &values);
    let scaled = Map { name: g.mul(&out.name, &gamma), ..out };
    plus(g, x, &scaled)
}

fn ablock(g: &mut Builder, at: &str, x: &Map, area: i64) -> Map {
    let attended = attention(g, &format!("{at}.attn"), x, area);
    let x = plus(g, x, &attended);
    let wide = g.conv(&format!("{at}.mlp.0"), &x, DENSE);
    let narrow = g.conv(&format!("{at}.mlp.1"), &wide, LINEAR);
    plus(g, &x, &narrow)
}

/// Dimensions of a value: batch, head, channel of a head, area, token.
fn attention(g: &mut Builder, at: &str, x: &Map, area: i64) -> Map {
    let ([q, k, v], v_map) = projections(g, at, x, area);
    let scale = g.floats(&format!("{at}.scale"), &[], &[(1.0 / (HEAD_DIM as f64).sqrt()) as f32]);
    let q = g.mul(&q, &scale);
    let q = g.transpose(&q, &[0, 3, 1, 4, 2]);
    let k = g.transpose(&k, &[0, 3, 1, 2, 4]);
    let v = g.transpose(&v, &[0, 3, 1, 4, 2]);
    let scores = g.node("MatMul", &[&q, &k], vec![]);
    let chances = g.node("Softmax", &[&scores], vec![Attribute::int("axis", -1)]);
    let attended = g.node("MatMul", &[&chances, &v], vec![]);
    let attended = g.transpose(&attended, &[0, 2, 4, 1, 3]);
    let attended = Map { name: g.reshape(&attended, &[1, x.c, x.h, x.w]), ..*x };
    let position = g.conv(&format!("{at}.pe"), &v_map, LINEAR);
    let sum = plus(g, &position, &attended);
    g.conv(&format!("{at}.proj"), &sum, LINEAR)
}

/// q, k, v as `[1, heads, HEAD_DIM, area, tokens]`, and v as a map.
fn projections(g: &mut Builder, at: &str, x: &Map, area: i64) -> ([String; 3], Map) {
    let (heads, tokens) = (x.c / HEAD_DIM, x.h * x.w / area);
    let by_head = |parts| [1, heads, parts * HEAD_DIM, area, tokens];
    if g.has(&format!("{at}.qkv")) {
        let all = g.conv(&format!("{at}.qkv"), x, LINEAR);
        let all = g.reshape(&all.name, &by_head(3));
        let [q, k, v]: [String; 3] = g.split(&all, 2, HEAD_DIM);
        let v_map = Map { name: g.reshape(&v, &[1, x.c, x.h, x.w]), ..*x };
        return ([q, k, v], v_map);
    }
    let both = g.conv(&format!("{at}.qk"), x, LINEAR);
    let v_map = g.conv(&format!("{at}.v"), x, LINEAR);
    let [q, k]: [String; 2] = g.split(&both.name, 1, x.c);
    ([q, k, v_map.name.clone()].map(|part| g.reshape(&part, &by_head(1))), v_map)
}
