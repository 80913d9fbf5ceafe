//! Data keys in a file that only its owner may read.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{KeyRing, SealError};

/// A file with the key ring in its text form, mode 0600; created when missing.
#[derive(Clone, Debug)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// The key file at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the key ring; creates one if there is no file.
    pub(super) fn load(&self) -> Result<KeyRing, SealError> {
        match self.read()? {
            Some(ring) => Ok(ring),
            None => self.create(),
        }
    }

    /// Reads the key ring; a missing file is an error: what was sealed needs its keys.
    pub(super) fn reload(&self) -> Result<KeyRing, SealError> {
        let missing = || SealError::keys(format_args!("{}: the file is gone", self.0.display()));
        self.read()?.ok_or_else(missing)
    }

    /// Replaces the key ring by the result of `change`; returns `None` without doing anything while another process changes
    /// it.
    pub(super) fn change(
        &self,
        change: impl Fn(&KeyRing) -> Result<KeyRing, SealError>,
    ) -> Result<Option<KeyRing>, SealError> {
        self.load()?;
        // Held until the new ring is in place, so that the next change builds on it. The lock ends with the process.
        let lock = File::open(self.folder()).map_err(|error| self.failed(error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(self.failed(error)),
        }
        let ring = change(&self.reload()?)?;
        let draft = self.draft(&ring)?;
        let written = fs::rename(&draft, &self.0)
            // Makes the folder's entry durable too.
            .and_then(|()| lock.sync_all());
        written.map_err(|error| self.failed(error))?;
        Ok(Some(ring))
    }

    fn read(&self) -> Result<Option<KeyRing>, SealError> {
        match fs::read_to_string(&self.0) {
            Ok(text) => {
                check_mode(&self.0)?;
                let ring = KeyRing::from_text(&text);
                ring.map(Some)
                    .map_err(|error| SealError::keys(format_args!("{}: {error}", self.0.display())))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Writes a separate file and links it into place, so that two processes end up with one ring.
    fn create(&self) -> Result<KeyRing, SealError> {
        fs::create_dir_all(self.folder()).map_err(|error| self.failed(error))?;
        let ring = KeyRing::generate()?;
        let draft = self.draft(&ring)?;
        let linked = fs::hard_link(&draft, &self.0);
        fs::remove_file(&draft).map_err(|error| self.failed(error))?;
        match linked {
            Ok(()) => Ok(ring),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.reload(),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// A durable draft file with `ring`, beside the final one.
    fn draft(&self, ring: &KeyRing) -> Result<PathBuf, SealError> {
        let draft = self
            .0
            .with_extension(format!("draft-{:016x}", fastrand::u64(..)));
        let text = format!(
            "# Data keys of Lark Service. Without them nothing sealed opens again.\n{}",
            ring.to_text()
        );
        let mut options = OpenOptions::new();
        let opened = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft);
        let written = opened.and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        });
        if let Err(error) = written {
            // It may not exist; if it does, it is useless.
            let _ = fs::remove_file(&draft);
            return Err(self.failed(error));
        }
        Ok(draft)
    }

    fn folder(&self) -> &Path {
        match self.0.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        }
    }

    fn failed(&self, error: std::io::Error) -> SealError {
        SealError::keys(format_args!("{}: {error}", self.0.display()))
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
    fn a_file_that_is_gone_is_not_made_anew_by_those_who_had_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("keys"));
        let error = file.reload().unwrap_err().to_string();
        assert!(error.contains("the file is gone"), "{error}");
        assert!(!file.path().exists());
    }

    #[test]
    fn changes_at_the_same_time_lose_no_key_and_leave_one_file_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("keys"));
        let first = file.load().unwrap();
        let now = crate::clock::Timestamp::from_seconds(1);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while file
                        .change(|ring| ring.with_new_key(now))
                        .unwrap()
                        .is_none()
                    {}
                });
            }
        });
        let ring = file.load().unwrap();
        assert_eq!(ring.key_ids().count(), 9);
        assert!(ring.open("c", &first.seal("c", b"x").unwrap()).is_ok());
        let mode = fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
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
