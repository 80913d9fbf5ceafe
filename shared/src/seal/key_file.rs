//! Data keys in a file that only its owner may read.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{KeyRing, SealError};

/// A file with the key ring in its text form, mode 0600; made when missing.
#[derive(Clone, Debug)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// The key file at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Reads the key ring, making a new one if there is no file.
    pub(super) fn load(&self) -> Result<KeyRing, SealError> {
        match fs::read_to_string(&self.0) {
            Ok(text) => {
                check_mode(&self.0)?;
                KeyRing::from_text(&text)
                    .map_err(|error| SealError::keys(format_args!("{}: {error}", self.0.display())))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => self.create(),
            Err(error) => Err(SealError::keys(format_args!(
                "{}: {error}",
                self.0.display()
            ))),
        }
    }

    /// Written to a file of its own and linked into place, so that two processes end up with one ring.
    fn create(&self) -> Result<KeyRing, SealError> {
        let fail =
            |error: std::io::Error| SealError::keys(format_args!("{}: {error}", self.0.display()));
        if let Some(parent) = self.0.parent() {
            fs::create_dir_all(parent).map_err(fail)?;
        }
        let ring = KeyRing::generate()?;
        let draft = self
            .0
            .with_extension(format!("draft-{:016x}", fastrand::u64(..)));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .map_err(fail)?;
        let text = format!(
            "# Data keys of Lark Service. Without them nothing sealed opens again.\n{}",
            ring.to_text()
        );
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all());
        let linked = written.and_then(|()| fs::hard_link(&draft, &self.0));
        fs::remove_file(&draft).map_err(fail)?;
        match linked {
            Ok(()) => Ok(ring),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.load(),
            Err(error) => Err(fail(error)),
        }
    }
}

fn check_mode(path: &Path) -> Result<(), SealError> {
    let mode = fs::metadata(path)
        .map_err(SealError::keys)?
        .permissions()
        .mode();
    if mode.trailing_zeros() >= 6 {
        return Ok(());
    }
    let shown = mode & 0o777;
    Err(SealError::keys(format_args!(
        "{} has mode {shown:o}; run chmod 600 on it",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_made_for_its_owner_alone_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/keys");
        let sealed = KeyFile::at(&path).load().unwrap().seal("c", b"x").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            KeyFile::at(&path)
                .load()
                .unwrap()
                .open("c", &sealed)
                .unwrap(),
            b"x"
        );
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        KeyFile::at(&path).load().unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = KeyFile::at(&path).load().unwrap_err().to_string();
        assert!(error.contains("has mode 640; run chmod 600"), "{error}");
    }

    #[test]
    fn processes_that_start_together_share_one_ring() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("keys"));
        let rings: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| file.load().unwrap()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let sealed = rings[0].seal("c", b"x").unwrap();
        assert!(rings.iter().all(|ring| ring.open("c", &sealed).is_ok()));
    }
}
