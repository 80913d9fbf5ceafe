//! What a command answers: aligned text for people, one JSON object for scripts; and how far long work has come.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::failure::Failure;

/// How often long work says how far it is.
const PROGRESS: Duration = Duration::from_millis(500);
/// No column is made wider than this for the sake of one long value.
const MAX_COLUMN: usize = 48;

/// Where answers go, and in which form.
#[derive(Debug)]
pub(crate) struct Output {
    is_json: bool,
    progress: Mutex<Option<Instant>>,
}

/// A list whose rows come page by page.
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

    /// The whole answer: `value` for scripts, `text` for people.
    pub(crate) fn answer(&self, value: &impl Serialize, text: &str) -> Result<(), Failure> {
        if self.is_json {
            self.write(&format!("{}\n", json(value)?))
        } else {
            self.write(&format!("{text}\n"))
        }
    }

    /// A line for people alone.
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

    /// Says on standard error how far long work is, now and then. Scripts are told nothing.
    pub(crate) fn progress(&self, text: &str) {
        let Ok(mut last) = self.progress.lock() else {
            return;
        };
        if self.is_json || last.is_some_and(|last| last.elapsed() < PROGRESS) {
            return;
        }
        *last = Some(Instant::now());
        let mut stderr = io::stderr().lock();
        // Whoever does not see it misses nothing.
        let _ = if io::stderr().is_terminal() {
            write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush())
        } else {
            writeln!(stderr, "{text}")
        };
    }

    /// Ends what [`Output::progress`] said: on a terminal its line goes.
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

    /// Ends the list; `none` is said when nothing was in it.
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

/// Names and values, one pair to a line.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = pairs.iter().filter(|(_, value)| !value.is_empty());
    let lines = lines.map(|(name, value)| format!("{name:<width$}  {}", printable(value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// A cell without anything in it is a dash.
fn shown(cell: &str) -> String {
    if cell.is_empty() {
        "-".to_owned()
    } else {
        printable(cell)
    }
}

/// Without what would move a terminal's cursor: some of it was said by others.
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
