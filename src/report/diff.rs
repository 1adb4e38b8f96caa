//! The page of a comparison: verdict, both runs' curves over each other, and every difference.

use ybox_spec::results::{Line, Panel, Table};

use super::html::{escape, section, table};
use super::{chart, page};
use crate::diff::{Diff, Difference, Held, Kind, Named, Outcome, Section};

/// Differences shown of a subject: a data set can have very many.
const ROWS: usize = 1000;

/// Lines of one run that share axes with the other's.
const LINES: usize = 2;

/// The same bytes for the same comparison.
pub fn render(diff: &Diff) -> String {
    let title = format!("{} and {}", diff.a.name, diff.b.name);
    let sections: String = diff.sections.iter().map(differences).collect();
    let body = [summary(diff), overview(diff), curves(&diff.curves), sections].concat();
    page::frame(&title, &body)
}

fn summary(diff: &Diff) -> String {
    let (verdict, class) = match diff.is_same() {
        true => ("the same", "completed"),
        false => ("different", "damaged"),
    };
    let kind = match diff.kind {
        Kind::Run => "runs",
        Kind::Image => "images",
        Kind::Lock => "locks",
        Kind::Recipe => "recipes",
    };
    let mut text = format!(
        "<header>\n<h1>Two {kind} <span class=\"state {class}\">{verdict}</span></h1>\n{}",
        table(&["", "name", "state", "hash"], &[side("A", &diff.a), side("B", &diff.b)], 4)
    );
    if let Some(likely) = &diff.likely_cause {
        text += &format!("<p>Most likely cause: {}.</p>\n", escape(&likely.sentence));
    }
    for note in &diff.notes {
        text += &format!("<p>Note: {}.</p>\n", escape(note));
    }
    text + "</header>\n"
}

fn side(letter: &str, side: &Named) -> Vec<String> {
    let state = side.state.map_or(String::new(), |state| state.name().to_owned());
    let digest = side.digest.map_or(String::new(), |digest| digest.to_string());
    vec![letter.to_owned(), side.name.clone(), state, digest]
}

fn overview(diff: &Diff) -> String {
    let row = |s: &Section| {
        vec![s.subject.name().to_owned(), s.outcome.name().to_owned(), s.summary.clone()]
    };
    let rows: Vec<_> = diff.sections.iter().map(row).collect();
    section("overview", "In causal order", &table(&["subject", "outcome", "what"], &rows, 3))
}

fn differences(compared: &Section) -> String {
    if compared.outcome != Outcome::Differs {
        return String::new();
    }
    let held = |held: &Option<Held>| held.as_ref().map_or("-".to_owned(), Held::to_string);
    let row = |d: &Difference| vec![d.item.clone(), held(&d.a), held(&d.b)];
    let rows: Vec<_> = compared.differences.iter().take(ROWS).map(row).collect();
    let name = compared.subject.name();
    let mut content = match rows.is_empty() {
        true => format!("<p>{}</p>\n", escape(&compared.summary)),
        false => table(&["what", "A", "B"], &rows, 3),
    };
    if let Some(more) = compared.differences.len().checked_sub(ROWS).filter(|more| *more > 0) {
        content += &format!("<p>And {more} more: <code>ybox diff --json</code> lists all.</p>\n");
    }
    section(name, &format!("What differs: {name}"), &content)
}

fn curves(curves: &[Table; 2]) -> String {
    let panels = overlaid(curves);
    if panels.is_empty() {
        return String::new();
    }
    let charts: String = panels.iter().map(chart::draw).collect();
    section("curves", "Curves of A and B", &format!("<div class=\"charts\">\n{charts}</div>\n"))
}

/// Each panel with the lines of both runs; one with many lines becomes a panel for each.
fn overlaid([a, b]: &[Table; 2]) -> Vec<Panel> {
    let (a, b) = (a.panels(), b.panels());
    let only_b = b.iter().filter(|panel| a.iter().all(|other| other.title != panel.title));
    a.iter().chain(only_b).flat_map(|panel| split(&panel.title, &[&a, &b])).collect()
}

fn split(title: &str, runs: &[&[Panel]; 2]) -> Vec<Panel> {
    let lines = |run: &&[Panel]| -> Vec<Line> {
        let panel = run.iter().find(|panel| panel.title == title);
        panel.map_or(Vec::new(), |panel| panel.lines.clone())
    };
    let [a, b] = runs.each_ref().map(lines);
    let longer = if a.len() >= b.len() { &a } else { &b };
    if longer.len() <= LINES {
        let lines = [of_run("A", &a), of_run("B", &b)].concat();
        return vec![Panel { title: title.to_owned(), lines }];
    }
    let one = |label: &String| {
        let only = |lines: &[Line]| -> Vec<Line> {
            lines.iter().filter(|line| line.label == *label).cloned().collect()
        };
        let lines = [of_run("A", &only(&a)), of_run("B", &only(&b))].concat();
        Panel { title: format!("{title}: {label}"), lines }
    };
    longer.iter().map(|line| one(&line.label)).collect()
}

fn of_run(letter: &str, lines: &[Line]) -> Vec<Line> {
    let named = |line: &Line| Line { label: format!("{letter} {}", line.label), ..line.clone() };
    lines.iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runs_share_axes_and_many_lines_are_drawn_apart() {
        let head = "epoch,train/box_loss,val/box_loss,lr/pg0,lr/pg1,lr/pg2\n";
        let a = Table::parse(&format!("{head}1,2,3,4,5,6\n"));
        let b = Table::parse("epoch,train/box_loss,metrics/mAP50-95(B)\n1,2,3\n2,1,4\n");
        let panels = overlaid(&[a, b]);
        let told: Vec<_> = panels
            .iter()
            .map(|panel| {
                let labels: Vec<_> = panel.lines.iter().map(|line| line.label.as_str()).collect();
                format!("{}: {}", panel.title, labels.join(", "))
            })
            .collect();
        assert_eq!(
            told,
            [
                "box loss: A train, A val, B train",
                "learning rate: weights: A weights",
                "learning rate: norms: A norms",
                "learning rate: biases: A biases",
                "mean average precision: B mAP50-95",
            ]
        );
    }
}
