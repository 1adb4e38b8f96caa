//! What a run folder holds: data manifest, log, config and the arguments that it was made from.
#![no_main]

use ybox_spec::config::TrainConfig;
use ybox_spec::manifest::Manifest;
use ybox_spec::{events, overrides};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(manifest) = text.parse::<Manifest>() {
        let again: Manifest = manifest.to_string().parse().expect("ybox reads what it writes");
        assert_eq!(again.root(), manifest.root());
    }
    let _ = events::read_log(text);
    events::standing(text);
    if let Ok(values) = overrides::parse_preset(text) {
        let _ = overrides::resolve::<TrainConfig>(&[values], &[]);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let _ = overrides::parse_arguments(&words);
});
