//! A file of tokens and logins, so that a restarted simulator still knows them, as the platform would. It has a line of
//! JSON for each event of a token or a login, written before the answer leaves.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::audience::Audience;
use crate::digest::Digest;

/// An event of a token or a login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A tenant or app token.
    Issued {
        app_id: Arc<str>,
        #[serde(default, skip_serializing_if = "Audience::is_self_built")]
        audience: Audience,
        token: Arc<str>,
        expires_at_ms: u64,
    },
    Revoked {
        token: Arc<str>,
    },
    /// A user has consented and the app has exchanged the code.
    LoggedIn {
        login: u64,
        app_id: Arc<str>,
        n: u32,
        scopes: BTreeSet<String>,
        at_ms: u64,
    },
    /// User tokens; the file has only their digests.
    UserTokens {
        login: u64,
        access: Digest,
        access_ends_ms: u64,
        /// The refresh token and its expiry in milliseconds since 1970.
        refresh: Option<(Digest, u64)>,
        /// The refresh token that these tokens replace.
        used: Option<Digest>,
    },
    AccessRevoked {
        access: Digest,
    },
    LoginRevoked {
        login: u64,
    },
}

/// The file, open for appending.
pub(crate) struct Journal(Mutex<File>);

impl Journal {
    /// The entries of the file at `path`; none if there is no file. Skips a line that a crash has cut short.
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

    /// Writes the file at `path` anew with these entries; only its owner can read it.
    pub(crate) fn create<'a>(
        path: &Path,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> io::Result<Self> {
        let draft = path.with_extension("draft");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&draft)?;
        for entry in entries {
            write(&mut file, entry)?;
        }
        std::fs::rename(&draft, path)?;
        Ok(Self(Mutex::new(file)))
    }

    /// Appends an entry in one write. If the disk is full, the next start does not know this entry; the current call
    /// still gets its answer.
    pub(crate) fn add(&self, entry: &Entry) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _only_forgotten = write(&mut file, entry);
    }
}

fn write(file: &mut File, entry: &Entry) -> io::Result<()> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    file.write_all(&line)
}
