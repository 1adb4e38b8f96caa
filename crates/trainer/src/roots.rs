//! Square roots and powers with the same bits on every CPU. libtorch hands `sqrt` (and the power
//! 0.5), `atan`, `tan`, `asin`, `acos` and `log10` to MKL's vector library, which starts from the
//! CPU's approximate reciprocals, and these differ between makers; `clippy.toml` keeps us off them.

use tch::Tensor;

/// Of numbers from 0 on, by way of the reciprocal root, which libtorch divides out exactly.
pub fn sqrt(x: &Tensor) -> Tensor {
    x.rsqrt().reciprocal_()
}

#[expect(clippy::disallowed_methods, reason = "the one exponent that is unsafe is taken out")]
pub fn pow(x: &Tensor, exponent: f64) -> Tensor {
    if exponent == 0.5 { sqrt(x) } else { x.pow_tensor_scalar(exponent) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_within_two_units_in_the_last_place_and_keeps_the_ends() {
        let values: Vec<f32> =
            (1..0x7f80).map(|high| f32::from_bits(high << 16 | 0x1234)).collect();
        let roots = Vec::<f32>::try_from(sqrt(&Tensor::from_slice(&values))).unwrap();
        for (value, root) in values.iter().zip(roots) {
            assert!(root.to_bits().abs_diff(value.sqrt().to_bits()) <= 2, "{value}: {root}");
        }
        let ends = [0., f32::INFINITY];
        assert_eq!(Vec::<f32>::try_from(pow(&Tensor::from_slice(&ends), 0.5)).unwrap(), ends);
        assert_eq!(f64::try_from(pow(&Tensor::from_slice(&[3f32]), 2.)).unwrap(), 9.);
    }
}
