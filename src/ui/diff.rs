//! How a comparison is printed: a line for each subject, its differences below, and at last the
//! verdict.

use crate::diff::{Diff, Difference, Held, Kind, Named, Outcome, Section};

/// Differences shown of a subject; `--json` has them all.
const SHOWN: usize = 10;
/// Characters of a value.
const LONGEST: usize = 48;
const SUBJECT: usize = 9;
const OUTCOME: usize = 14;

/// The lines, each ending in a line break.
pub fn diff(diff: &Diff) -> String {
    let mut text = sides(diff);
    text.push('\n');
    text.extend(diff.sections.iter().map(section));
    text.push('\n');
    text.extend(diff.notes.iter().map(|note| format!("note: {note}\n")));
    if let Some(likely) = &diff.likely_cause {
        text += &format!("most likely cause: {}\n", likely.sentence);
    }
    text + &verdict(diff) + "\n"
}

fn sides(diff: &Diff) -> String {
    let width = [&diff.a, &diff.b].map(|side| side.name.chars().count());
    let width = width[0].max(width[1]);
    let line = |letter: &str, side: &Named| {
        let state = side.state.map_or(String::new(), |state| format!("  {:<11}", state.name()));
        let digest = side.digest.map_or(String::new(), |d| d.hex()[..12].to_owned());
        let line = format!("{letter}  {:<width$}{state}  {digest}", side.name);
        line.trim_end().to_owned() + "\n"
    };
    line("A", &diff.a) + &line("B", &diff.b)
}

fn section(section: &Section) -> String {
    let (subject, outcome) = (section.subject.name(), section.outcome.name());
    let line = format!("{subject:<SUBJECT$}{outcome:<OUTCOME$}{}", section.summary);
    line.trim_end().to_owned() + "\n" + &differences(&section.differences)
}

fn differences(all: &[Difference]) -> String {
    let rows: Vec<_> = all
        .iter()
        .take(SHOWN)
        .map(|d| [cut(&d.item), held(d.a.as_ref()), held(d.b.as_ref())])
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let (item, a) = (width(0).unwrap_or(0), width(1).unwrap_or(0));
    let indent = " ".repeat(SUBJECT);
    let mut text: String = rows
        .iter()
        .map(|[name, from, to]| format!("{indent}{name:<item$}  {from:<a$}  ->  {to}\n"))
        .collect();
    if let Some(more) = all.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text += &format!("{indent}and {more} more: --json lists all\n");
    }
    text
}

fn held(held: Option<&Held>) -> String {
    held.map_or("-".into(), |held| cut(&held.to_string()))
}

/// Control characters can't move the cursor, and what is long loses its middle.
fn cut(text: &str) -> String {
    let clean: Vec<char> = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.len() <= LONGEST {
        return clean.into_iter().collect();
    }
    let half = (LONGEST - 3) / 2;
    let end = clean.len() - half;
    clean[..half].iter().chain(&['.', '.', '.']).chain(&clean[end..]).collect()
}

fn verdict(diff: &Diff) -> String {
    let names = |outcome| {
        let names: Vec<_> = diff.subjects(outcome).map(|subject| subject.name()).collect();
        names.join(", ")
    };
    let not_compared = match names(Outcome::NotCompared) {
        none if none.is_empty() => none,
        some => format!("; not compared: {some}"),
    };
    let differing = names(Outcome::Differs);
    match (diff.is_same(), diff.kind) {
        (false, _) => format!("DIFFERENT in {differing}{not_compared}"),
        (true, Kind::Run) if !differing.is_empty() => {
            format!("the same, on different hosts{not_compared}")
        }
        (true, _) => format!("the same{not_compared}"),
    }
}

#[cfg(test)]
mod tests {
    use ybox_spec::Digest;

    use super::*;
    use crate::diff::{Bits, Likely, Subject};
    use crate::record::RunState;

    fn example() -> Diff {
        let named = |name: &str, state| Named {
            name: name.into(),
            state: Some(state),
            digest: Some(Digest::of(name.as_bytes())),
        };
        let file = |text: &str| Held::File {
            size: text.len() as u64,
            sha256: Digest::of(text.as_bytes()),
            mode: None,
        };
        let item =
            |i: usize| Difference::new(format!("train images/{i}.jpg"), Some(file("ab")), None);
        let float = |value: f32| Some(Held::Float(Bits(value.to_bits())));
        let names = |name: &str| Some(Held::Value(name.repeat(30).into()));
        Diff {
            kind: Kind::Run,
            a: named("runs/train/exp", RunState::Completed),
            b: named("runs/train/longer-name", RunState::Interrupted),
            sections: vec![
                Section::same(Subject::Recipe, ""),
                Section::not_compared(Subject::Image, "B has no record"),
                Section::differs(Subject::Data, "12 of 40 files", (8..20).map(item).collect()),
                Section::differs(
                    Subject::Config,
                    "1 key",
                    vec![Difference::new("model", names("cat,"), names("\u{1b}[2J"))],
                ),
                Section::differs(
                    Subject::Steps,
                    "first at step 3 of 4",
                    vec![
                        Difference::new("loss", float(1.5), float(f32::NAN)),
                        Difference::new("gradient norm", float(0.1), float(0.25)),
                    ],
                ),
            ],
            first_step: None,
            likely_cause: Some(Likely {
                cause: crate::diff::Cause::Data,
                items: Vec::new(),
                also: Vec::new(),
                sentence: "data (images/8.jpg and 11 more)".into(),
            }),
            notes: vec!["B: it was stopped on request".into()],
            curves: Default::default(),
        }
    }

    #[test]
    fn columns_line_up_and_what_is_long_is_cut() {
        insta::assert_snapshot!(diff(&example()), @r"
        A  runs/train/exp          completed    9a3af9dfbbdf
        B  runs/train/longer-name  interrupted  aebc57b91c3c

        recipe   same
        image    not compared  B has no record
        data     differs       12 of 40 files
                 train images/8.jpg   2 B, fb8e20fc2e4c  ->  -
                 train images/9.jpg   2 B, fb8e20fc2e4c  ->  -
                 train images/10.jpg  2 B, fb8e20fc2e4c  ->  -
                 train images/11.jpg  2 B, fb8e20fc2e4c  ->  -
                 train images/12.jpg  2 B, fb8e20fc2e4c  ->  -
                 train images/13.jpg  2 B, fb8e20fc2e4c  ->  -
                 train images/14.jpg  2 B, fb8e20fc2e4c  ->  -
                 train images/15.jpg  2 B, fb8e20fc2e4c  ->  -
                 train images/16.jpg  2 B, fb8e20fc2e4c  ->  -
                 train images/17.jpg  2 B, fb8e20fc2e4c  ->  -
                 and 2 more: --json lists all
        config   differs       1 key
                 model  cat,cat,cat,cat,cat,ca...t,cat,cat,cat,cat,cat,  ->   [2J [2J [2J [2J [2J [...2J [2J [2J [2J [2J [2J
        steps    differs       first at step 3 of 4
                 loss           1.5 (3fc00000)  ->  NaN (7fc00000)
                 gradient norm  0.1 (3dcccccd)  ->  0.25 (3e800000)

        note: B: it was stopped on request
        most likely cause: data (images/8.jpg and 11 more)
        DIFFERENT in data, config, steps; not compared: image
        ");
    }
}
