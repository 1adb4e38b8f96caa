//! YOLOv12 on a tape: the graph of the trainer's `model`, in shapes alone. A test of the trainer
//! compares what this says is kept with what libtorch keeps.

use super::tape::{FULL, Kernel, Map, Tape};
use crate::architecture::{self, Graph, Scale};
use crate::config::{AttentionPath, Checkpointing};

const HEAD_DIM: u64 = architecture::HEAD_DIM as u64;
/// Maps as large as a part's output that there are when its backward begins: gradients, and what the
/// last normalisation and SiLU compute again. Found by measuring s, m, l and x in fp32, and s in bf16.
const IN_BACKWARD: u64 = 5;
const IN_BACKWARD_OF_HALVES: u64 = 6;
const BOX_CHANNELS: u64 = architecture::BOX_CHANNELS as u64;

/// A model, and what its training takes memory by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Network {
    graph: Graph,
    scale: Scale,
    pub classes: u64,
    pub residual_scaling: bool,
    pub attention: AttentionPath,
}

/// What a forward pass keeps.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Bytes for each picture, the head's raw maps among them.
    pub per_picture: u64,
    /// Of the fp32 form that the loss makes of those maps.
    pub raw_full: u64,
    /// Of the class logits in fp32.
    pub class_logits: u64,
    /// What there is when the part runs again with which that is most.
    pub again: u64,
    /// Bytes whatever the batch.
    pub fixed: u64,
    pub parameters: u64,
}

impl Network {
    /// The model `name`, with residual scaling as trainings from scratch have it.
    pub fn parse(name: &str, classes: u64, attention: AttentionPath) -> Option<Self> {
        let (graph, scale) = architecture::parse(name)?;
        Some(Self { graph, scale, classes, residual_scaling: true, attention })
    }

    /// A forward pass over pictures of `side` x `side`, in numbers of `size` bytes.
    pub fn kept(&self, side: u64, size: u64, policy: Checkpointing) -> Kept {
        let mut walk = Walk { net: self, tape: Tape::new(size), policy, again: 0 };
        // Pictures of a single cell are not checkpointed; nor do they need it.
        if side <= 32 {
            walk.policy = Checkpointing::None;
        }
        let raw = walk.network(side);
        let cells: u64 = raw.iter().map(Map::cells).sum();
        let width = BOX_CHANNELS + self.classes;
        let bytes: u64 = raw.iter().map(Map::bytes).sum();
        let raw_full = cells * width * FULL;
        Kept {
            per_picture: walk.tape.kept() + bytes,
            raw_full,
            class_logits: cells * self.classes * FULL,
            // The raw maps are there to the end of the step.
            again: walk.again + bytes,
            fixed: walk.tape.fixed,
            parameters: walk.tape.parameters,
        }
    }
}

struct Walk<'a> {
    net: &'a Network,
    tape: Tape,
    policy: Checkpointing,
    again: u64,
}

impl Walk<'_> {
    fn network(&mut self, side: u64) -> [Map; 3] {
        let [c1, c2, c3, c4, c5] = self.net.scale.channels().map(u64::from);
        let [g2, g3] = self.net.graph.stem_groups().map(u64::from);
        let deep = self.net.scale.backbone_c3k();
        let images = self.tape.pictures(side);
        let x = self.halving(images, c1, 1);
        let x = self.halving(x, c2, g2);
        let x = self.stage(&[x], |w| w.c3k2(x, c3, c3 / 4, deep));
        let x = self.halving(x, c3, g3);
        let p3 = self.stage(&[x], |w| w.c3k2(x, c4, c4 / 4, deep));
        let x = self.halving(p3, c4, 1);
        let p4 = self.attending(x, 4);
        let x = self.halving(p4, c5, 1);
        let p5 = self.attending(x, 1);

        let n4 = self.stage(&[p5, p4], |w| {
            let x = w.tape.upsample(p5);
            let x = w.tape.cat(&[x, p4]);
            w.joining(x, c4)
        });
        let n3 = self.stage(&[n4, p3], |w| {
            let x = w.tape.upsample(n4);
            let x = w.tape.cat(&[x, p3]);
            w.joining(x, c3)
        });
        let x = self.halving(n3, c3, 1);
        let out4 = self.stage(&[x, n4], |w| {
            let x = w.tape.cat(&[x, n4]);
            w.joining(x, c4)
        });
        let x = self.halving(out4, c4, 1);
        let out5 = self.stage(&[x, p5], |w| {
            let x = w.tape.cat(&[x, p5]);
            w.c3k2(x, c5, c5 / 2, true)
        });
        [n3, out4, out5].map(|x| self.level(x))
    }

    /// A part that every checkpointing of layers runs again.
    fn stage(&mut self, inputs: &[Map], part: impl FnOnce(&mut Self) -> Map) -> Map {
        let runs_again = matches!(self.policy, Checkpointing::Layer | Checkpointing::LayerHead);
        self.maybe_again(runs_again, inputs, part)
    }

    fn maybe_again(
        &mut self,
        runs_again: bool,
        inputs: &[Map],
        part: impl FnOnce(&mut Self) -> Map,
    ) -> Map {
        if !runs_again {
            return part(self);
        }
        let begin = self.tape.mark();
        let output = part(self);
        // What comes after it is done by then: of the rest there are the inputs.
        let within = self.tape.close(begin, inputs);
        let full = self.tape.size() == FULL;
        let maps = if full { IN_BACKWARD } else { IN_BACKWARD_OF_HALVES };
        let there = self.tape.kept() + within + maps * output.bytes();
        self.again = self.again.max(there);
        output
    }

    fn halving(&mut self, x: Map, channels: u64, groups: u64) -> Map {
        let kernel = Kernel { stride: 2, groups, ..Kernel::of(3) };
        self.stage(&[x], |w| w.tape.conv(x, channels, kernel))
    }

    fn bottleneck(&mut self, x: Map, hidden: u64) -> Map {
        let y = self.tape.conv(x, hidden, Kernel::of(3));
        let y = self.tape.conv(y, x.channels, Kernel::of(3));
        self.tape.add(x, y)
    }

    fn c3k(&mut self, x: Map) -> Map {
        let half = x.channels / 2;
        let first = self.tape.conv(x, half, Kernel::POINT);
        let first = (0..2).fold(first, |x, _| self.bottleneck(x, half));
        let second = self.tape.conv(x, half, Kernel::POINT);
        let joined = self.tape.cat(&[first, second]);
        self.tape.conv(joined, x.channels, Kernel::POINT)
    }

    fn c3k2(&mut self, x: Map, channels: u64, piece: u64, deep: bool) -> Map {
        let both = self.tape.conv(x, 2 * piece, Kernel::POINT);
        let half = self.tape.view(both, piece);
        let mut pieces = vec![half, half];
        for _ in 0..self.net.scale.depth() {
            let last = pieces[pieces.len() - 1];
            pieces.push(if deep { self.c3k(last) } else { self.bottleneck(last, piece / 2) });
        }
        let joined = self.tape.cat(&pieces);
        self.tape.conv(joined, channels, Kernel::POINT)
    }

    /// An A2C2f whose inner modules are C3k.
    fn joining(&mut self, x: Map, channels: u64) -> Map {
        let mut pieces = vec![self.tape.conv(x, channels / 2, Kernel::POINT)];
        for _ in 0..self.net.scale.depth() {
            pieces.push(self.c3k(pieces[pieces.len() - 1]));
        }
        let joined = self.tape.cat(&pieces);
        self.tape.conv(joined, channels, Kernel::POINT)
    }

    /// An A2C2f whose inner modules are two attention blocks each.
    fn attending(&mut self, x: Map, area: u64) -> Map {
        self.maybe_again(self.policy != Checkpointing::None, &[x], |w| {
            let mut pieces = vec![w.tape.conv(x, x.channels / 2, Kernel::POINT)];
            for _ in 0..2 * w.net.scale.depth() {
                let block = w.attention_block(pieces[pieces.len() - 1], area);
                pieces.push(w.attention_block(block, area));
            }
            let joined = w.tape.cat(&pieces);
            let out = w.tape.conv(joined, x.channels, Kernel::POINT);
            if !w.net.residual_scaling {
                return out;
            }
            let scaled = w.tape.scaled(out);
            w.tape.add(x, scaled)
        })
    }

    fn attention_block(&mut self, x: Map, area: u64) -> Map {
        let attended = self.attention(x, area);
        let x = self.tape.add(x, attended);
        // Truncated, as in the model.
        let hidden = (x.channels as f64 * self.net.scale.mlp_ratio(self.net.graph)) as u64;
        let y = self.tape.conv(x, hidden, Kernel::POINT);
        let y = self.tape.conv(y, x.channels, Kernel::POINT);
        self.tape.add(x, y)
    }

    fn attention(&mut self, x: Map, area: u64) -> Map {
        let c = x.channels;
        let turbo = self.net.graph == Graph::Turbo;
        let (parts, v) = if turbo {
            let v = self.tape.conv(x, c, Kernel::POINT);
            (vec![self.tape.conv(x, 2 * c, Kernel::POINT), v], v)
        } else {
            let parts = self.tape.conv(x, 3 * c, Kernel::POINT);
            // Of the joint projection the map of v is a copy.
            (vec![parts], self.tape.fresh([c, x.height, x.width], self.tape.size()))
        };
        let attended = match self.net.attention {
            AttentionPath::Safe => self.plain(x, area),
            _ => self.fused(&parts, x),
        };
        let side = if turbo { 5 } else { 7 };
        let placed = self.tape.conv(v, c, Kernel { groups: c, ..Kernel::of(side) });
        let sum = self.tape.add(placed, attended);
        self.tape.conv(sum, c, Kernel::POINT)
    }

    /// Kept are q, k, v, the output, and for each row of scores their logarithmic sum in fp32.
    fn fused(&mut self, parts: &[Map], x: Map) -> Map {
        parts.iter().for_each(|part| self.tape.keep(*part));
        let output = self.tape.fresh([x.channels, x.height, x.width], self.tape.size());
        self.tape.keep(output);
        let sums = self.tape.fresh([x.channels / HEAD_DIM, x.height, x.width], FULL);
        self.tape.keep(sums);
        output
    }

    /// Kept are q, k and v in the order that products want, and the map of scores, in fp32 and as it
    /// is multiplied.
    fn plain(&mut self, x: Map, area: u64) -> Map {
        let size = self.tape.size();
        let (heads, tokens) = (x.channels / HEAD_DIM, x.cells() / area);
        let copies = self.tape.fresh([3 * x.channels, x.height, x.width], size);
        self.tape.keep(copies);
        let scores = self.tape.fresh([heads * area, tokens, tokens], FULL);
        self.tape.keep(scores);
        if size != FULL {
            let scores = self.tape.fresh([heads * area, tokens, tokens], size);
            self.tape.keep(scores);
        }
        self.tape.fresh([x.channels, x.height, x.width], size)
    }

    /// One level of the head: its raw map.
    fn level(&mut self, x: Map) -> Map {
        let classes = self.net.classes;
        let [box_width, class_width] = self.net.scale.head_widths(classes);
        self.maybe_again(self.policy == Checkpointing::LayerHead, &[x], |w| {
            let boxes = w.tape.conv(x, box_width, Kernel::of(3));
            let boxes = w.tape.conv(boxes, box_width, Kernel::of(3));
            let boxes = w.tape.biased(boxes, BOX_CHANNELS);
            let deep = [x.channels, class_width].into_iter().fold(x, |x, c| {
                let y = w.tape.conv(x, c, Kernel { groups: c, ..Kernel::of(3) });
                w.tape.conv(y, class_width, Kernel::POINT)
            });
            let found = w.tape.biased(deep, classes);
            w.tape.cat(&[boxes, found])
        })
    }
}
