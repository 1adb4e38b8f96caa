//! Progress of downloads on standard error: bars on a terminal, a line per file elsewhere.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{DecimalBytes, MultiProgress, ProgressBar, ProgressStyle};

/// Where progress is drawn.
#[derive(Debug, Clone)]
pub struct Progress {
    drawing: Drawing,
}

#[derive(Debug, Clone)]
enum Drawing {
    Bars(MultiProgress),
    Lines,
    Silent,
}

/// The progress of one file.
#[derive(Debug, Clone)]
pub struct Bar {
    drawing: Drawing,
    bar: ProgressBar,
    name: String,
    started: Instant,
}

impl Progress {
    /// Bars if standard error is a terminal, else lines.
    pub fn stderr() -> Self {
        let drawing = if std::io::stderr().is_terminal() {
            Drawing::Bars(MultiProgress::new())
        } else {
            Drawing::Lines
        };
        Self { drawing }
    }

    pub fn silent() -> Self {
        Self { drawing: Drawing::Silent }
    }

    /// Begins with a file of `size` bytes.
    pub fn start(&self, name: &str, size: u64) -> Bar {
        let bar = match &self.drawing {
            Drawing::Bars(bars) => bars.add(ProgressBar::new(size).with_style(style())),
            Drawing::Lines => {
                eprintln!("downloading {name} ({})", DecimalBytes(size));
                ProgressBar::hidden()
            }
            Drawing::Silent => ProgressBar::hidden(),
        };
        bar.set_message(name.to_owned());
        Bar { drawing: self.drawing.clone(), bar, name: name.into(), started: Instant::now() }
    }
}

impl Bar {
    /// `position` bytes are there.
    pub fn set(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Says why nothing moves.
    pub fn note(&self, text: &str) {
        match self.drawing {
            Drawing::Bars(_) => self.bar.set_message(format!("{} ({text})", self.name)),
            Drawing::Lines => eprintln!("{}: {text}", self.name),
            Drawing::Silent => {}
        }
    }

    pub fn finish(self) {
        match self.drawing {
            Drawing::Bars(bars) => {
                self.bar.finish_and_clear();
                bars.remove(&self.bar);
            }
            Drawing::Lines => {
                eprintln!(
                    "downloaded {} in {:.1} s",
                    self.name,
                    self.started.elapsed().as_secs_f64()
                );
            }
            Drawing::Silent => {}
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(
        "{bar:24} {decimal_bytes:>10} of {decimal_total_bytes:<10} {decimal_bytes_per_sec:>12}  \
         {wide_msg}",
    )
    .expect("the template is a constant")
}
