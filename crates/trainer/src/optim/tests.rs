use tch::Tensor;

use super::*;

const START: [f32; 3] = [0.5, -1.25, 2.];

const GROUPS: [Group; 3] = [Group::Weights, Group::Norms, Group::Biases];

/// Rates as a warm-up gives them: different for every group and every step.
fn rates(step: i32) -> Rates {
    let step = f64::from(step);
    let lr = 0.01 + 0.002 * step;
    let momentum = 0.8 + 0.01 * step;
    Rates { lr: [lr, lr * 2., lr * 3.], momentum, weight_decay: 0.05, accumulate: 1 }
}

fn parameters() -> Vec<Parameter> {
    let named = ["conv.weight", "bn.weight", "conv.bias"].into_iter().zip(GROUPS);
    named
        .map(|(name, group)| Parameter {
            name: name.into(),
            tensor: Tensor::from_slice(&START).set_requires_grad(true),
            group,
        })
        .collect()
}

/// The gradient of element `i` at `step`.
fn slope(i: usize, step: i32) -> f32 {
    (i as f32 * 7. + step as f32 * 3.).sin()
}

fn take(optimizer: &mut Optimizer, step: i32) {
    optimizer.zero_grad();
    let slopes: Vec<f32> = (0..START.len()).map(|i| slope(i, step)).collect();
    for parameter in optimizer.parameters() {
        (&parameter.tensor * Tensor::from_slice(&slopes)).sum(Kind::Float).backward();
    }
    optimizer.step(&rates(step));
}

fn values(optimizer: &Optimizer) -> Vec<Vec<f32>> {
    optimizer.parameters().iter().map(|p| Vec::try_from(p.tensor.detach()).unwrap()).collect()
}

/// One step of one number, in f64.
struct Scalar {
    p: f64,
    first: f64,
    second: f64,
}

/// What a step of one number knows.
struct Given {
    g: f64,
    lr: f64,
    decay: f64,
    momentum: f64,
    t: i32,
}

fn compare(algorithm: Algorithm, step: fn(&mut Scalar, Given)) {
    let mut optimizer = Optimizer::new(algorithm, parameters());
    (1..=10).for_each(|t| take(&mut optimizer, t));
    for (group, found) in GROUPS.into_iter().zip(values(&optimizer)) {
        for (i, found) in found.into_iter().enumerate() {
            let mut number = Scalar { p: f64::from(START[i]), first: 0., second: 0. };
            for t in 1..=10 {
                let Rates { lr, momentum, weight_decay, .. } = rates(t);
                let decay = if group == Group::Weights { weight_decay } else { 0. };
                let (g, lr) = (f64::from(slope(i, t)), lr[group as usize]);
                step(&mut number, Given { g, lr, decay, momentum, t });
            }
            let error = (f64::from(found) - number.p).abs();
            assert!(error < 2e-6, "{group:?} {i}: {found}, not {}", number.p);
        }
    }
}

#[test]
fn sgd_is_nesterovs() {
    compare(Algorithm::Sgd, |n, Given { g, lr, decay, momentum, .. }| {
        let g = g + decay * n.p;
        n.first = momentum * n.first + g;
        n.p -= lr * (g + momentum * n.first);
    });
}

#[test]
fn adamw_decays_apart_from_the_gradient() {
    compare(Algorithm::AdamW, |n, Given { g, lr, decay, momentum, t }| {
        n.p -= lr * decay * n.p;
        n.first = momentum * n.first + (1. - momentum) * g;
        n.second = 0.999 * n.second + 0.001 * g * g;
        let mean = n.first / (1. - momentum.powi(t));
        let square = n.second / (1. - 0.999f64.powi(t));
        n.p -= lr * mean / (square.sqrt() + 1e-8);
    });
}

#[test]
fn a_parameter_without_a_gradient_stays() {
    for algorithm in [Algorithm::Sgd, Algorithm::AdamW] {
        let mut optimizer = Optimizer::new(algorithm, parameters());
        optimizer.step(&rates(1));
        assert_eq!(values(&optimizer), vec![START.to_vec(); 3]);
    }
}

/// A copy as a checkpoint would hold it.
fn saved(optimizer: &Optimizer) -> Vec<(String, Tensor)> {
    optimizer.state().into_iter().map(|(name, tensor)| (name, tensor.copy())).collect()
}

#[test]
fn goes_on_from_a_saved_state_with_the_same_bits() {
    for algorithm in [Algorithm::Sgd, Algorithm::AdamW] {
        let mut whole = Optimizer::new(algorithm, parameters());
        (1..=4).for_each(|t| take(&mut whole, t));
        let mut resumed = Optimizer::new(algorithm, parameters());
        no_grad(|| {
            for (to, from) in resumed.parameters.iter_mut().zip(whole.parameters()) {
                to.tensor.copy_(&from.tensor);
            }
        });
        resumed.load_state(&saved(&whole)).unwrap();
        for t in 5..=8 {
            take(&mut whole, t);
            take(&mut resumed, t);
        }
        assert_eq!(values(&whole), values(&resumed));
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused_and_changes_nothing() {
    let mut optimizer = Optimizer::new(Algorithm::Sgd, parameters());
    take(&mut optimizer, 1);
    let velocity = |o: &Optimizer| Vec::<f32>::try_from(&o.state()[0].1).unwrap();
    let before = velocity(&optimizer);

    let other = saved(&Optimizer::new(Algorithm::AdamW, parameters()));
    let missing = StateError::Missing("momentum_buffer.conv.weight".into());
    assert_eq!(optimizer.load_state(&other), Err(missing));

    let mut longer = saved(&Optimizer::new(Algorithm::Sgd, parameters()));
    longer.push(("extra".into(), Tensor::from(1f32)));
    assert_eq!(optimizer.load_state(&longer), Err(StateError::Unknown("extra".into())));

    longer.pop();
    longer[2].1 = Tensor::from_slice(&[0f32; 4]);
    let name = "momentum_buffer.conv.bias".into();
    let error = StateError::Shape { name, saved: vec![4], here: vec![3] };
    assert_eq!(optimizer.load_state(&longer), Err(error));
    assert_eq!(velocity(&optimizer), before);
}

#[test]
fn clipping_reaches_all_gradients() {
    let mut optimizer = Optimizer::new(Algorithm::Sgd, parameters());
    take(&mut optimizer, 2);
    let measured = |optimizer: &Optimizer| optimizer.gradient_norm().double_value(&[]) as f32;
    let norm = measured(&optimizer);
    optimizer.clip_gradients(norm, 0.5);
    let squares: f64 = (0..3).map(|i| f64::from(slope(i, 2)).powi(2)).sum();
    assert!((f64::from(norm) - (3. * squares).sqrt()).abs() < 1e-6);
    assert!((measured(&optimizer) - 0.5).abs() < 1e-5);
}
