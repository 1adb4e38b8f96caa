//! A project's page of a package index, in both of its forms.
#![no_main]

use url::Url;
use ybox::fetch::index;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let base = Url::parse("https://index.example/simple/torch/").expect("a valid address");
    for form in ["text/html", "application/vnd.pypi.simple.v1+json"] {
        let _ = index::parse(&base, Some(form), bytes);
    }
});
