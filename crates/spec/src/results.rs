//! Reading `results.csv`: columns by name, and which of them are looked at together. Drawing them,
//! as pixels or as SVG, is left to others.

/// A table of numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    columns: Vec<(String, Vec<f64>)>,
}

impl Table {
    /// Reads what it can: a cell that is missing or no number is NaN, and a last line that was cut
    /// off before its line break is passed over.
    pub fn parse(text: &str) -> Self {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut lines = whole.lines();
        let names = lines.next().unwrap_or_default().split(',').filter(|name| !name.is_empty());
        let mut columns: Vec<_> = names.map(|n| (n.trim().to_owned(), Vec::new())).collect();
        for line in lines {
            let mut cells = line.split(',');
            for (_, column) in &mut columns {
                let cell = cells.next().unwrap_or_default().trim();
                column.push(cell.parse().unwrap_or(f64::NAN));
            }
        }
        Self { columns }
    }

    pub fn column(&self, name: &str) -> Option<&[f64]> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, column)| column.as_slice())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, |(_, column)| column.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The columns by subject, over the epochs; columns that belong to no subject are left out.
    pub fn panels(&self) -> Vec<Panel> {
        let epochs = self.column("epoch").unwrap_or_default();
        PANELS.iter().filter_map(|(title, lines)| self.panel(epochs, title, lines)).collect()
    }

    fn panel(&self, epochs: &[f64], title: &str, lines: &[(&str, &str)]) -> Option<Panel> {
        let lines: Vec<_> = lines
            .iter()
            .filter_map(|(label, name)| Some((*label, self.column(name)?)))
            .map(|(label, column)| Line::new(label, epochs, column))
            .collect();
        (!lines.is_empty()).then(|| Panel { title: title.to_owned(), lines })
    }
}

/// Title, and label and column of each line.
type PanelOf = (&'static str, &'static [(&'static str, &'static str)]);

const PANELS: [PanelOf; 6] = [
    ("box loss", &[("train", "train/box_loss"), ("val", "val/box_loss")]),
    ("class loss", &[("train", "train/cls_loss"), ("val", "val/cls_loss")]),
    ("distribution focal loss", &[("train", "train/dfl_loss"), ("val", "val/dfl_loss")]),
    (
        "precision and recall",
        &[("precision", "metrics/precision(B)"), ("recall", "metrics/recall(B)")],
    ),
    (
        "mean average precision",
        &[("mAP50", "metrics/mAP50(B)"), ("mAP50-95", "metrics/mAP50-95(B)")],
    ),
    ("learning rate", &[("weights", "lr/pg0"), ("norms", "lr/pg1"), ("biases", "lr/pg2")]),
];

/// Lines that share axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    pub title: String,
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub label: String,
    /// Epoch and value.
    pub points: Vec<[f64; 2]>,
}

impl Line {
    fn new(label: &str, epochs: &[f64], column: &[f64]) -> Self {
        let points = epochs.iter().zip(column).map(|(&x, &y)| [x, y]).collect();
        Self { label: label.to_owned(), points }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_columns_by_name_and_no_torn_line() {
        let table = Table::parse("epoch, lr/pg0,x\n1,0.5,9\n2,?\n3,0.2");
        assert_eq!(table.len(), 2);
        assert_eq!(table.column("epoch"), Some(&[1.0, 2.0][..]));
        assert!(table.column("lr/pg0").is_some_and(|c| c[0] == 0.5 && c[1].is_nan()));
        assert_eq!(table.column("y"), None);
        assert!(Table::parse("").is_empty());
    }

    #[test]
    fn panels_are_those_whose_columns_there_are() {
        let table = Table::parse("epoch,val/box_loss,other\n1,2,4\n");
        let panels = table.panels();
        let titles: Vec<_> = panels.iter().map(|p| p.title.as_str()).collect();
        assert_eq!(titles, ["box loss"]);
        assert_eq!(panels[0].lines, [Line { label: "val".into(), points: vec![[1.0, 2.0]] }]);
    }
}
