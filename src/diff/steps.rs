//! Two metric chains, and the first step at which they part.

use serde::{Serialize, Serializer};
use ybox_spec::chain::{Step, read_chain};

use super::section::{Bits, Difference, Held, Section, Subject, counted};

/// The first step that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FirstDifference {
    /// From 1.
    pub step: u64,
    pub quantities: Vec<Quantity>,
    #[serde(serialize_with = "plain")]
    pub a: Step,
    #[serde(serialize_with = "plain")]
    pub b: Step,
}

/// What a step takes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    Loss,
    GradientNorm,
    /// Digest of all parameters after the step.
    Parameters,
}

/// Compares two chains as far as both go. A digest of the parameters counts where both have one.
pub fn first_difference(a: &[Step], b: &[Step]) -> Option<FirstDifference> {
    let pairs = a.iter().zip(b).zip(1_u64..);
    pairs
        .map(|((a, b), step)| FirstDifference { step, quantities: differing(a, b), a: *a, b: *b })
        .find(|difference| !difference.quantities.is_empty())
}

fn differing(a: &Step, b: &Step) -> Vec<Quantity> {
    let parameters = a.parameters.zip(b.parameters).is_some_and(|(a, b)| a != b);
    [
        (Quantity::Loss, a.loss != b.loss),
        (Quantity::GradientNorm, a.grad_norm != b.grad_norm),
        (Quantity::Parameters, parameters),
    ]
    .into_iter()
    .filter_map(|(quantity, differs)| differs.then_some(quantity))
    .collect()
}

impl Quantity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::GradientNorm => "gradient norm",
            Self::Parameters => "parameters",
        }
    }

    fn held(self, step: &Step) -> Option<Held> {
        match self {
            Self::Loss => Some(Held::Float(Bits(step.loss))),
            Self::GradientNorm => Some(Held::Float(Bits(step.grad_norm))),
            Self::Parameters => step.parameters.map(Held::Digest),
        }
    }
}

impl FirstDifference {
    /// The quantities that differ, with both values.
    pub fn differences(&self) -> Vec<Difference> {
        let difference = |q: &Quantity| Difference::new(q.name(), q.held(&self.a), q.held(&self.b));
        self.quantities.iter().map(difference).collect()
    }

    /// Where in the step they parted, as far as the quantities tell.
    fn stage(&self) -> &'static str {
        match self.quantities.first() {
            Some(Quantity::GradientNorm) => {
                "; the loss is the same: they part in the backward pass"
            }
            Some(Quantity::Parameters) => {
                "; loss and gradient norm are the same: they part in the update"
            }
            _ => "",
        }
    }
}

fn plain<S: Serializer>(step: &Step, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Plain {
        loss: Bits,
        grad_norm: Bits,
        parameters: Option<ybox_spec::Digest>,
    }
    let &Step { loss, grad_norm, parameters } = step;
    Plain { loss: Bits(loss), grad_norm: Bits(grad_norm), parameters }.serialize(serializer)
}

/// Steps of a chain as far as it holds, and the step at which it is broken, if it is. The last line
/// of a chain that still grows may be cut off.
pub fn sound_steps(text: &str, grows: bool) -> (Vec<Step>, Option<u64>) {
    let text = match grows {
        true => text.rfind('\n').map_or("", |end| &text[..end]),
        false => text,
    };
    let error = match read_chain(text) {
        Ok((steps, _)) => return (steps, None),
        Err(error) => error,
    };
    let sound: String =
        text.lines().take(error.step as usize - 1).map(|line| format!("{line}\n")).collect();
    let steps = read_chain(&sound).map(|(steps, _)| steps).unwrap_or_default();
    (steps, Some(error.step))
}

/// `a` and `b` are `None` where a run has no steps.
pub fn section(a: Option<&[Step]>, b: Option<&[Step]>) -> Section {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (None, None) => return Section::same(Subject::Steps, "none"),
        (a, _) => {
            let which = if a.is_none() { "A" } else { "B" };
            return Section::not_compared(Subject::Steps, format!("{which} has none"));
        }
    };
    let lengths = format!("A has {}, B {}", a.len(), b.len());
    match first_difference(a, b) {
        Some(first) => {
            let of = match a.len() == b.len() {
                true => format!(" of {}", a.len()),
                false => format!("; {lengths}"),
            };
            let summary = format!("first at step {}{of}{}", first.step, first.stage());
            Section::differs(Subject::Steps, summary, first.differences())
        }
        None if a.len() == b.len() => Section::same(Subject::Steps, counted(a.len(), "step")),
        None => {
            let shorter = a.len().min(b.len());
            let summary = match shorter {
                0 => lengths,
                1 => format!("in number: {lengths}; the first is the same"),
                _ => format!("in number: {lengths}; the first {shorter} are the same"),
            };
            Section::differs(Subject::Steps, summary, Vec::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use ybox_spec::Digest;
    use ybox_spec::chain::ChainHead;

    use super::*;

    fn steps(numbers: &[(f32, f32)]) -> Vec<Step> {
        numbers.iter().map(|&(loss, norm)| Step::new(loss, norm)).collect()
    }

    #[test]
    fn finds_the_first_step_and_what_of_it_differs() {
        let a = steps(&[(1.0, 0.5), (2.0, 0.5), (3.0, 0.5)]);
        assert_eq!(first_difference(&a, &a), None);
        let mut b = a.clone();
        b[1] = Step::new(2.0, f32::from_bits(0.5_f32.to_bits() + 1));
        b[2] = Step::new(9.0, 0.5);
        let first = first_difference(&a, &b).unwrap();
        assert_eq!((first.step, &first.quantities[..]), (2, &[Quantity::GradientNorm][..]));
        let section = section(Some(&a), Some(&b));
        assert_eq!(
            section.summary,
            "first at step 2 of 3; the loss is the same: they part in the backward pass"
        );
        assert_eq!(section.differences[0].b.as_ref().unwrap().to_string(), "0.50000006 (3f000001)");
    }

    #[test]
    fn nan_is_the_same_as_itself_and_zeros_have_signs() {
        let nan = steps(&[(f32::NAN, 0.0)]);
        assert_eq!(first_difference(&nan, &nan), None);
        assert!(first_difference(&steps(&[(0.0, 1.0)]), &steps(&[(-0.0, 1.0)])).is_some());
    }

    #[test]
    fn parameters_count_where_both_were_taken_down() {
        let step = Step::new(1.0, 1.0);
        let with = |text: &str| [step.with_parameters(Digest::of(text.as_bytes()))];
        assert_eq!(first_difference(&with("a"), &[step]), None);
        let first = first_difference(&with("a"), &with("b")).unwrap();
        assert_eq!(first.quantities, [Quantity::Parameters]);
    }

    #[test]
    fn different_lengths_are_told_apart_from_different_steps() {
        let (short, long) = (steps(&[(1.0, 1.0)]), steps(&[(1.0, 1.0), (2.0, 1.0)]));
        let told = |a: &[Step], b: &[Step]| section(Some(a), Some(b)).summary;
        assert_eq!(told(&short, &long), "in number: A has 1, B 2; the first is the same");
        assert_eq!(told(&long, &[]), "A has 2, B 0");
        assert_eq!(told(&long, &long), "2 steps");
        assert_eq!(section(None, Some(&long)).summary, "A has none");
    }

    #[test]
    fn a_broken_chain_is_read_up_to_the_break() {
        let mut head = ChainHead::default();
        let all = steps(&[(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]);
        let text: String = all.iter().map(|step| head.append(*step) + "\n").collect();
        assert_eq!(sound_steps(&text, false), (all.clone(), None));
        let changed = text.replacen("2 4000", "2 4001", 1);
        assert_eq!(sound_steps(&changed, false), (all[..1].to_vec(), Some(2)));
        let cut = &text[..text.len() - 9];
        assert_eq!(sound_steps(cut, true), (all[..2].to_vec(), None));
        assert_eq!(sound_steps(cut, false), (all[..2].to_vec(), Some(3)));
        assert_eq!(sound_steps("1 3f8", true), (Vec::new(), None));
    }
}
