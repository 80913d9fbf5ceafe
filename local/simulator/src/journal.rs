//! Tokens in a file, so that a simulator that starts again knows those it issued before, as the platform would: a line of
//! JSON for each token issued or revoked, written before the answer leaves.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What happened to a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    Issued {
        app_id: Arc<str>,
        token: Arc<str>,
        expires_at_ms: u64,
    },
    Revoked {
        token: Arc<str>,
    },
}

/// The file, open for further entries.
pub(crate) struct Journal(File);

impl Journal {
    /// The entries in the file at `path`; none if there is no file. A line that a crash has cut short is passed over.
    pub(crate) fn read(path: &Path) -> io::Result<Vec<Entry>> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let entries = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        Ok(entries.collect())
    }

    /// The file at `path` with just these entries, for its owner's eyes only.
    pub(crate) fn create(path: &Path, entries: &[Entry]) -> io::Result<Self> {
        let draft = path.with_extension("draft");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut journal = Self(options.open(&draft)?);
        for entry in entries {
            journal.add(entry)?;
        }
        std::fs::rename(&draft, path)?;
        Ok(journal)
    }

    /// Adds an entry in one write.
    pub(crate) fn add(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}
