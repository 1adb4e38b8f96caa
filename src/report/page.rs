//! The page as a whole: head, summary, and the sections in their order.

use ybox_spec::config::Task;

use super::html::{escape, pairs};
use super::sections;
use super::story::Story;
use crate::record::RunState;
use crate::ui::rows::grouped;

/// Nothing is loaded from anywhere, whatever a name in the run may try.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

const STYLE: &str = include_str!("page.css");

/// The same bytes for the same folder.
pub fn render(story: &Story) -> String {
    let body = [
        summary(story),
        sections::curves(story),
        sections::classes(story),
        sections::remarks(story),
        sections::samples(story),
        sections::findings(story),
        sections::settings(story),
        sections::hashes(story),
        sections::circumstances(story),
        sections::files(story),
    ]
    .concat();
    frame(&story.name, &body)
}

/// A page around `body`, which is HTML; `title` is text.
pub(super) fn frame(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · ybox</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n\
         </html>\n"
    )
}

fn summary(story: &Story) -> String {
    let state = story.state.name();
    let tiles = pairs(tiles(story)).replace("class=\"pairs\"", "class=\"tiles\"");
    format!(
        "<header>\n<h1>{} <span class=\"state {state}\">{state}</span></h1>\n<p>{}</p>\n{tiles}\
         </header>\n",
        escape(&story.name),
        escape(&sentence(story)),
    )
}

/// What the run is, and how it ended where that is not as planned.
fn sentence(story: &Story) -> String {
    let what = match story.task() {
        Some(Task::Train) => "A training",
        Some(Task::Val) => "A validation",
        Some(Task::Predict) => "A prediction",
        Some(Task::Export) => "An export",
        None => "A run",
    };
    let end = match story.state {
        RunState::Completed => "",
        RunState::Interrupted => " It was stopped on request; what follows is of the epochs done.",
        RunState::OutOfTime => {
            " It stopped because its time (time=) was spent; what follows is of the epochs done."
        }
        RunState::Running => " It still goes on; what follows is of the epochs done.",
        RunState::Unfinished => {
            " It failed or was killed and has no record; what follows is of the epochs done."
        }
        RunState::Damaged => " Its record cannot be read.",
    };
    let model = sections::model(story).map(|m| format!(" of {m}")).unwrap_or_default();
    let parameters =
        story.parameters.map(|p| format!(" ({} parameters)", grouped(p))).unwrap_or_default();
    let images = story.images;
    let pictures: Vec<_> = [
        (images.train, "to train on"),
        (images.val, "to validate on"),
        (images.source, "to look at"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, use_)| format!("{} pictures {use_}", grouped(count)))
    .collect();
    let pictures = match pictures.is_empty() {
        true => String::new(),
        false => format!(", {}", pictures.join(", ")),
    };
    format!("{what}{model}{parameters}{pictures}.{end}")
}

fn tiles(story: &Story) -> Vec<(&'static str, String)> {
    let mut tiles = Vec::new();
    if let Some(metrics) = story.best_metrics() {
        tiles.push(("mAP50-95", format!("{:.4}", metrics.map)));
        tiles.push(("mAP50", format!("{:.4}", metrics.map50)));
        tiles.push(("precision", format!("{:.4}", metrics.precision)));
        tiles.push(("recall", format!("{:.4}", metrics.recall)));
    }
    if let Some(best) = story.best() {
        tiles.push(("best epoch", best.epoch.to_string()));
    }
    if let Some(last) = story.epochs.last() {
        tiles.push(("epochs", format!("{} of {}", last.epoch, last.epochs)));
    }
    if story.task() == Some(Task::Predict) {
        let objects = story.predicted.1.values().filter_map(serde_json::Value::as_u64);
        tiles.push(("pictures", grouped(story.predicted.0)));
        tiles.push(("objects", grouped(objects.sum())));
    }
    if let Some(seconds) = story.seconds {
        tiles.push(("time", duration(seconds)));
    }
    if let Some(record) = &story.record {
        tiles.push(("run hash begins", record.run_hash.hex()[..8].to_owned()));
    }
    tiles
}

/// `1 h 02 min`, `3 min 07 s`, `12.3 s`.
fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        assert_eq!(duration(12.34), "12.3 s");
        assert_eq!(duration(187.9), "3 min 07 s");
        assert_eq!(duration(3720.0), "1 h 02 min");
    }
}
