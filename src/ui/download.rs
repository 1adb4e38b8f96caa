//! Progress of downloads and uploads on standard error: bars on a terminal, a line per file elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use indicatif::{DecimalBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where progress is drawn.
#[derive(Debug, Clone)]
pub struct Progress {
    drawing: Drawing,
    direction: Direction,
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    Down,
    Up,
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
    direction: Direction,
    bar: ProgressBar,
    name: String,
    size: u64,
    began: Arc<OnceLock<Instant>>,
    /// Whether a note stands beside the name.
    noted: Arc<AtomicBool>,
}

impl Progress {
    /// Bars if standard error is a terminal, else lines.
    pub fn stderr() -> Self {
        let drawing = if std::io::stderr().is_terminal() {
            Drawing::Bars(MultiProgress::new())
        } else {
            Drawing::Lines
        };
        Self { drawing, direction: Direction::Down }
    }

    pub fn silent() -> Self {
        Self { drawing: Drawing::Silent, direction: Direction::Down }
    }

    /// The same for what goes to a server.
    pub fn of_uploads(self) -> Self {
        Self { direction: Direction::Up, ..self }
    }

    /// Begins with a file of `size` bytes.
    pub fn start(&self, name: &str, size: u64) -> Bar {
        let bar = self.lazy(name, size);
        bar.begin();
        bar
    }

    /// A file of `size` bytes that may turn out to be there already: nothing is said of it before
    /// some of it has moved.
    pub fn lazy(&self, name: &str, size: u64) -> Bar {
        let bar = match &self.drawing {
            // Drawn once it is among the bars.
            Drawing::Bars(_) => {
                ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::hidden())
                    .with_style(style())
            }
            Drawing::Lines | Drawing::Silent => ProgressBar::hidden(),
        };
        bar.set_message(name.to_owned());
        Bar {
            drawing: self.drawing.clone(),
            direction: self.direction,
            bar,
            name: name.into(),
            size,
            began: Arc::default(),
            noted: Arc::default(),
        }
    }
}

impl Direction {
    fn doing(self) -> &'static str {
        match self {
            Self::Down => "downloading",
            Self::Up => "uploading",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Down => "downloaded",
            Self::Up => "uploaded",
        }
    }
}

impl Bar {
    /// Of something small that nobody waits for.
    pub fn hidden() -> Self {
        Progress::silent().start("", 0)
    }

    /// Shows it, unless it is shown already.
    fn begin(&self) {
        self.began.get_or_init(|| {
            match &self.drawing {
                Drawing::Bars(bars) => drop(bars.add(self.bar.clone())),
                Drawing::Lines => {
                    let doing = self.direction.doing();
                    eprintln!("{doing} {} ({})", self.name, DecimalBytes(self.size));
                }
                Drawing::Silent => {}
            }
            Instant::now()
        });
    }

    /// `position` bytes are there.
    pub fn set(&self, position: u64) {
        self.begin();
        if self.noted.swap(false, Ordering::Relaxed) {
            self.bar.set_message(self.name.clone());
        }
        self.bar.set_position(position);
    }

    /// Says why nothing moves, until something does.
    pub fn note(&self, text: &str) {
        match self.drawing {
            Drawing::Bars(_) => {
                self.noted.store(true, Ordering::Relaxed);
                self.bar.set_message(format!("{} ({text})", self.name));
                self.begin();
            }
            Drawing::Lines => eprintln!("{}: {text}", self.name),
            Drawing::Silent => {}
        }
    }

    pub fn finish(self) {
        let Some(began) = self.began.get() else { return };
        match self.drawing {
            Drawing::Bars(bars) => {
                self.bar.finish_and_clear();
                bars.remove(&self.bar);
            }
            Drawing::Lines => {
                eprintln!(
                    "{} {} in {:.1} s",
                    self.direction.done(),
                    self.name,
                    began.elapsed().as_secs_f64()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_seen_until_something_moves() {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let progress = Progress { drawing: Drawing::Bars(bars), direction: Direction::Down };
        let bar = progress.lazy("layer", 10);
        bar.note("waiting");
        assert!(bar.began.get().is_some(), "it is among the bars");
        assert_eq!(bar.bar.message(), "layer (waiting)");
        bar.set(1);
        assert_eq!(bar.bar.message(), "layer");
    }
}
