//! The attention paths give the same numbers, and the fused ones take less memory. In a program of
//! its own: which kernels may run is global.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

use tch::Device;
use ytrain::check::attention::{Shape, compare};

#[test]
fn flash_and_safe_give_the_same_results_and_gradients_and_flash_takes_less() {
    let shape = Shape { batch: 2, heads: 4, tokens: 1600 };
    let compared = compare(shape, Device::Cpu).unwrap();
    let [flash, safe] = &compared[..] else { panic!("{compared:?}") };
    assert_eq!((flash.path, flash.dtype, safe.path), ("flash", "fp32", "safe"));
    for compared in &compared {
        assert_eq!(compared.lacking, None);
        assert!(compared.output < 1e-5 && compared.gradients < 1e-5, "{compared:?}");
    }
    assert_eq!(
        (safe.output, safe.gradients),
        (0.0, 0.0),
        "it is what the others are compared with"
    );
    // Of what the plain path takes the two maps of scores, `[2, 4, 1600, 1600]` of fp32, are a part
    // that can't be avoided; flash keeps no such map.
    let scores = 2 * 4 * 1600 * 1600 * 4;
    assert!(safe.peak > 2 * scores, "{compared:?}");
    assert!(flash.peak < scores / 2, "{compared:?}");
    println!("peak bytes: flash {}, safe {}", flash.peak, safe.peak);
}
