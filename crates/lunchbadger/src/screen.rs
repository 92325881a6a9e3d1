//! Where commands write: tables for people, JSON for scripts.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::Output;

/// Standard output and standard error of a command.
pub(crate) struct Screen {
    /// How reading commands answer.
    pub(crate) output: Output,
    out: Box<dyn Write>,
    err: Box<dyn Write>,
}

impl Screen {
    /// The process's own streams.
    pub(crate) fn new(output: Output) -> Self {
        Self { output, out: Box::new(io::BufWriter::new(io::stdout())), err: Box::new(io::stderr()) }
    }

    /// Whether answers are JSON.
    pub(crate) fn json(&self) -> bool {
        self.output == Output::Json
    }

    /// Writes a line of the answer.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> Result<()> {
        writeln!(self.out, "{}", line.as_ref()).context(WRITE)
    }

    /// Writes text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<()> {
        self.out.write_all(text.as_bytes()).context(WRITE)
    }

    /// Writes a JSON document.
    pub(crate) fn document(&mut self, document: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(document).context("write the answer as JSON")?;
        self.line(text)
    }

    /// Tells the person something that is not the answer.
    pub(crate) fn note(&mut self, note: impl AsRef<str>) -> Result<()> {
        self.out.flush().context(WRITE)?;
        writeln!(self.err, "{}", note.as_ref()).context("write to standard error")
    }

    /// Starts a picture over, where a person looks.
    pub(crate) fn clear(&mut self) -> Result<()> {
        if io::stdout().is_terminal() { self.text("\x1b[2J\x1b[H") } else { Ok(()) }
    }

    /// Sends on what was written so far.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.out.flush().context(WRITE)
    }
}

const WRITE: &str = "write to standard output";

/// Whether an error only says that nobody reads on (`| head`).
pub(crate) fn nobody_reads(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

/// A table: a heading and rows, columns as wide as their widest cell.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this heading.
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row. Cells may hold a producer's text: what could move the cursor is replaced.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows
            .push(cells.iter().map(|cell| printable(if cell.is_empty() { "-" } else { cell })).collect());
    }

    /// The table's lines.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}", width = *width))
                .collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// Text of a producer or a server without characters that could move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_line_up_and_cells_cannot_move_the_cursor() {
        let mut table = Table::new(&["NAME", "READY"]);
        table.row(["al", "True"]);
        table.row(["big-corp", ""]);
        table.row(["ä\u{1b}[2J", "x\ny"]);
        assert_eq!(
            table.render(),
            "NAME      READY\nal        True\nbig-corp  -\nä\u{fffd}[2J     x\u{fffd}y\n"
        );
    }
}
