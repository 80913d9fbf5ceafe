//! A command's output: aligned text for people, one JSON object for scripts, and the progress of long work.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::failure::Failure;

/// How often long work reports its progress.
const PROGRESS: Duration = Duration::from_millis(500);
/// The maximum width of a column, so that one long value does not widen it further.
const MAX_COLUMN: usize = 48;

/// Where output goes, and in which form.
#[derive(Debug)]
pub(crate) struct Output {
    is_json: bool,
    progress: Mutex<Option<Instant>>,
}

/// A list whose rows arrive page by page.
#[derive(Debug)]
pub(crate) struct List<'o> {
    output: &'o Output,
    columns: &'static [&'static str],
    widths: Vec<usize>,
    count: usize,
}

impl Output {
    pub(crate) const fn new(is_json: bool) -> Self {
        Self {
            is_json,
            progress: Mutex::new(None),
        }
    }

    pub(crate) const fn is_json(&self) -> bool {
        self.is_json
    }

    /// The whole output: `value` for scripts, `text` for people.
    pub(crate) fn answer(&self, value: &impl Serialize, text: &str) -> Result<(), Failure> {
        if self.is_json {
            self.write(&format!("{}\n", json(value)?))
        } else {
            self.write(&format!("{text}\n"))
        }
    }

    /// A line for people only.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        if self.is_json {
            Ok(())
        } else {
            self.write(&format!("{text}\n"))
        }
    }

    /// Begins a list with these columns.
    pub(crate) fn list(&self, columns: &'static [&'static str]) -> Result<List<'_>, Failure> {
        if self.is_json {
            self.write("{\"items\":[")?;
        }
        Ok(List {
            output: self,
            columns,
            widths: columns.iter().map(|column| column.len()).collect(),
            count: 0,
        })
    }

    /// Reports progress on standard error from time to time; nothing for scripts.
    pub(crate) fn progress(&self, text: &str) {
        let Ok(mut last) = self.progress.lock() else {
            return;
        };
        if self.is_json || last.is_some_and(|last| last.elapsed() < PROGRESS) {
            return;
        }
        *last = Some(Instant::now());
        let mut stderr = io::stderr().lock();
        // A progress message that cannot be written does not matter.
        let _ = if io::stderr().is_terminal() {
            write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush())
        } else {
            writeln!(stderr, "{text}")
        };
    }

    /// Ends the output of [`Output::progress`]: on a terminal, clears its line.
    pub(crate) fn progressed(&self) {
        let was_told = self
            .progress
            .lock()
            .is_ok_and(|mut last| last.take().is_some());
        if was_told && io::stderr().is_terminal() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }
}

impl List<'_> {
    /// Adds a page of rows: each as a value for scripts, and as cells for people.
    pub(crate) fn rows<V: Serialize>(&mut self, rows: &[(V, Vec<String>)]) -> Result<(), Failure> {
        let mut text = String::new();
        if self.output.is_json {
            for (value, _) in rows {
                if self.count > 0 {
                    text.push(',');
                }
                text.push_str(&json(value)?);
                self.count += 1;
            }
            return self.output.write(&text);
        }
        for (_, cells) in rows {
            for (width, cell) in self.widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count().min(MAX_COLUMN));
            }
        }
        if self.count == 0 && !rows.is_empty() {
            let header = self.columns.iter().map(|column| column.to_uppercase());
            text.push_str(&self.aligned(&header.collect::<Vec<_>>()));
        }
        for (_, cells) in rows {
            text.push_str(&self.aligned(cells));
        }
        self.count += rows.len();
        self.output.write(&text)
    }

    /// Ends the list; prints `none` if it was empty.
    pub(crate) fn end(self, none: &str) -> Result<(), Failure> {
        if self.output.is_json {
            self.output.write("]}\n")
        } else if self.count == 0 {
            self.output.write(&format!("{none}\n"))
        } else {
            Ok(())
        }
    }

    fn aligned(&self, cells: &[String]) -> String {
        let cells = self.widths.iter().zip(cells);
        let line: String = cells
            .map(|(width, cell)| format!("{:<width$}  ", shown(cell)))
            .collect();
        format!("{}\n", line.trim_end())
    }
}

/// Names and values, one pair per line.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = pairs.iter().filter(|(_, value)| !value.is_empty());
    let lines = lines.map(|(name, value)| format!("{name:<width$}  {}", printable(value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// An empty cell is a dash.
fn shown(cell: &str) -> String {
    if cell.is_empty() {
        "-".to_owned()
    } else {
        printable(cell)
    }
}

/// Without characters that would move a terminal's cursor: some of the text comes from outside.
fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(safe).collect()
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::Io(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_value() {
        let output = Output::new(false);
        let list = List {
            output: &output,
            columns: &["a", "b"],
            widths: vec![5, 1],
            count: 0,
        };
        assert_eq!(
            list.aligned(&["x".into(), "y\u{1b}[2J".into()]),
            "x      y [2J\n"
        );
        assert_eq!(list.aligned(&[String::new(), "y".into()]), "-      y\n");
    }

    #[test]
    fn pairs_without_a_value_are_left_out() {
        let text = pairs(&[
            ("name", "x".into()),
            ("a", String::new()),
            ("b", "y".into()),
        ]);
        assert_eq!(text, "name  x\nb     y");
    }
}
