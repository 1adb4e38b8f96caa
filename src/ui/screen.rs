//! Where talk goes: to a terminal with bars that redraw, to a pipe as plain lines, or nowhere. Data
//! for programs goes to standard output, past this.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Takes lines and bars. Clones share the place.
#[derive(Clone)]
pub struct Screen {
    kind: Arc<Kind>,
}

enum Kind {
    Silent,
    Plain(Mutex<Box<dyn Write + Send>>),
    Terminal(MultiProgress),
}

/// A bar of a [`Screen`]. Only a terminal shows it; it goes when it is dropped.
pub struct Bar(Option<ProgressBar>);

impl Screen {
    /// Standard error: with bars where it is a terminal.
    pub fn stderr() -> Self {
        match io::stderr().is_terminal() {
            true => Self { kind: Arc::new(Kind::Terminal(MultiProgress::new())) },
            false => Self::plain(Box::new(io::stderr())),
        }
    }

    /// Lines only, to `writer`.
    pub fn plain(writer: Box<dyn Write + Send>) -> Self {
        Self { kind: Arc::new(Kind::Plain(Mutex::new(writer))) }
    }

    pub fn silent() -> Self {
        Self { kind: Arc::new(Kind::Silent) }
    }

    /// Shows a line, above the bars. What cannot be shown is no reason to stop.
    pub fn say(&self, line: &str) {
        match &*self.kind {
            Kind::Silent => {}
            Kind::Plain(writer) => {
                let mut writer = writer.lock().unwrap_or_else(|e| e.into_inner());
                let _ = writeln!(writer, "{line}").and_then(|()| writer.flush());
            }
            Kind::Terminal(bars) => {
                let _ = bars.println(line);
            }
        }
    }

    /// A bar with a label in front.
    pub fn bar(&self, label: &str, total: u64) -> Bar {
        let Kind::Terminal(bars) = &*self.kind else { return Bar(None) };
        let style = ProgressStyle::with_template("{wide_msg} {bar:14} {pos}/{len} {eta}")
            .expect("the template is well-formed")
            .progress_chars("━╸ ");
        let bar = bars.add(ProgressBar::new(total).with_style(style));
        bar.set_message(label.to_owned());
        Bar(Some(bar))
    }
}

impl Bar {
    pub fn label(&self, label: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(label.to_owned());
        }
    }

    pub fn position(&self, done: u64, total: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(total);
            bar.set_position(done);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
