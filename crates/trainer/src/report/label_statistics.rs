//! `labels.jpg`: what the training labels look like as a whole: objects per class, objects per
//! picture, where they lie and how large they are.

use super::curves::shortened;
use super::grid::heat_map;
use crate::data::{Object, Picture, Split};
use ybox_picture::canvas::{Anchor, Area, Canvas, FAINT, Font, INK};

/// The most frequent classes that are listed.
const LISTED: usize = 20;

const BAR: [u8; 3] = [0, 114, 178];
const PANEL: i64 = 560;
const CELLS: usize = 50;

/// `names`: the classes, by number.
pub fn draw(split: &Split, names: &[String]) -> Picture {
    let pictures: Vec<&[Object]> = split.samples.iter().map(|s| s.objects.as_slice()).collect();
    let mut canvas = Canvas::new(2 * PANEL as u32, 2 * PANEL as u32);
    let panel = |column: i64, row: i64| {
        [column * PANEL + 12, row * PANEL + 8, (column + 1) * PANEL - 12, (row + 1) * PANEL - 12]
    };
    bars(&mut canvas, panel(0, 0), "objects per class", &by_class(&pictures, names));
    bars(&mut canvas, panel(1, 0), "pictures by number of objects", &by_picture(&pictures));
    let objects = || pictures.iter().flat_map(|objects| objects.iter());
    let centres = objects().map(|o| [o.bbox[0], o.bbox[1]]);
    let map = Map { title: "centres", x: "x", y: "y", upwards: false };
    map.draw(&mut canvas, panel(0, 1), centres);
    let sizes = objects().map(|o| [o.bbox[2], o.bbox[3]]);
    let map = Map { title: "sizes", x: "width", y: "height", upwards: true };
    map.draw(&mut canvas, panel(1, 1), sizes);
    canvas.into_picture()
}

fn by_class(pictures: &[&[Object]], names: &[String]) -> Vec<(String, usize)> {
    let mut counts: Vec<_> = names.iter().map(|name| (shortened(name), 0)).collect();
    for object in pictures.iter().flat_map(|objects| objects.iter()) {
        if let Some(entry) = counts.get_mut(object.class as usize) {
            entry.1 += 1;
        }
    }
    if counts.len() > LISTED {
        counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let rest = counts.split_off(LISTED - 1);
        let sum = rest.iter().map(|(_, count)| count).sum();
        counts.push((format!("{} others", rest.len()), sum));
    }
    counts
}

fn by_picture(pictures: &[&[Object]]) -> Vec<(String, usize)> {
    const ENDS: [usize; 10] = [0, 1, 2, 4, 8, 16, 32, 64, 128, usize::MAX];
    let mut low = 0;
    let mut rows = Vec::new();
    for end in ENDS {
        let count = pictures.iter().filter(|o| (low..=end).contains(&o.len())).count();
        let label = match end {
            usize::MAX => format!("{low} and more"),
            _ if low == end => end.to_string(),
            _ => format!("{low} to {end}"),
        };
        rows.push((label, count));
        low = end.saturating_add(1);
    }
    let used = rows.iter().rposition(|(_, count)| *count > 0).map_or(0, |last| last + 1);
    rows.truncate(used);
    rows
}

fn title(canvas: &mut Canvas, [left, top, right, _]: Area, text: &str) {
    canvas.text([(left + right) / 2, top + 14], Anchor::Middle, Font::Title, INK, text);
}

fn bars(canvas: &mut Canvas, area: Area, text: &str, rows: &[(String, usize)]) {
    title(canvas, area, text);
    let names = rows.iter().map(|(name, _)| Font::Text.width(name)).max().unwrap_or(0);
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let (left, top, right) = (area[0] + names + 12, area[1] + 40, area[2] - 80);
    let height = ((area[3] - top - 20) / rows.len().max(1) as i64).clamp(16, 44);
    for (i, (name, count)) in (0..).zip(rows) {
        let y = top + height * i;
        let middle = y + height / 2;
        let end = left + (right - left) * *count as i64 / most as i64;
        canvas.text([left - 8, middle], Anchor::End, Font::Text, INK, name);
        canvas.fill([left, y + 3, right, y + height - 3], FAINT);
        canvas.fill([left, y + 3, end, y + height - 3], BAR);
        canvas.text([right + 8, middle], Anchor::Start, Font::Text, INK, &count.to_string());
    }
}

struct Map {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    upwards: bool,
}

impl Map {
    fn draw(&self, canvas: &mut Canvas, area: Area, points: impl Iterator<Item = [f32; 2]>) {
        title(canvas, area, self.title);
        let [left, top, right, bottom] = [area[0] + 52, area[1] + 36, area[2] - 16, area[3] - 52];
        heat_map(canvas, [left, top, right, bottom], points, CELLS, self.upwards);
        for i in 0..=4 {
            let label = ["0", "0.25", "0.5", "0.75", "1"][i as usize];
            let x = left + (right - left) * i / 4;
            canvas.text([x, bottom + 14], Anchor::Middle, Font::Text, INK, label);
            let down = if self.upwards { 4 - i } else { i };
            let y = top + (bottom - top) * down / 4;
            canvas.text([left - 8, y], Anchor::End, Font::Text, INK, label);
        }
        let middle = [(left + right) / 2, bottom + 34];
        canvas.text(middle, Anchor::Middle, Font::Text, INK, self.x);
        let at = [area[0] + 2, (top + bottom) / 2];
        canvas.text_upwards(at, Anchor::Middle, Font::Text, INK, self.y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(classes: &[u32]) -> Vec<Object> {
        classes.iter().map(|&class| Object { class, bbox: [0.5, 0.5, 0.1, 0.1] }).collect()
    }

    #[test]
    fn counts_are_by_class_and_by_picture() {
        let (one, two) = (objects(&[0]), objects(&[1, 1, 1]));
        let pictures = [one.as_slice(), &two, &[]];
        let names = ["cat".to_owned(), "dog".to_owned()];
        let counts = by_class(&pictures, &names);
        assert_eq!(counts, [("cat".into(), 1), ("dog".into(), 3)]);
        let counts = by_picture(&pictures);
        let expected = [("0", 1), ("1", 1), ("2", 0), ("3 to 4", 1)];
        assert_eq!(counts, expected.map(|(label, count)| (label.to_owned(), count)));
        assert!(by_picture(&[]).is_empty());
    }

    #[test]
    fn rare_classes_are_added_up() {
        let names: Vec<_> = (0..80).map(|i| i.to_string()).collect();
        let all = objects(&(0..80).chain([7, 7]).collect::<Vec<_>>());
        let counts = by_class(&[&all], &names);
        assert_eq!(counts.len(), LISTED);
        assert_eq!(counts[0], ("7".to_owned(), 3));
        assert_eq!(counts[LISTED - 1], ("61 others".to_owned(), 61));
    }
}
