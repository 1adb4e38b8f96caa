//! Tables in one style: no lines, columns two spaces apart, numbers to the right.

use comfy_table::{CellAlignment, Table, presets};

/// A table as text, each line ending in a line break. Columns named in `right` are aligned right.
pub fn table(header: &[&str], rows: &[Vec<String>], right: &[&str]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row.clone());
    }
    let last = header.len().saturating_sub(1);
    for (index, name) in header.iter().enumerate() {
        let Some(column) = table.column_mut(index) else { continue };
        column.set_padding((0, if index == last { 0 } else { 2 }));
        if right.contains(name) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".into(), "5".into()], vec!["long name".into(), "1234".into()]];
        assert_eq!(
            table(&["name", "size"], &rows, &["size"]),
            "name       size\na             5\nlong name  1234\n"
        );
    }
}
