//! Opening a database file of this machine: the embedded store and the embedded queue have one each.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, StorageError};

/// Why a file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Only one process at a time may have the file open.
    #[error("{} is in use by another Lark Service process", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// This user may not read and write the file, or create it.
    #[error("{} cannot be read and written by this user", .path.display())]
    Denied {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is damaged, or is no store.
    #[error("{} is damaged, or not a store of Lark Service", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DatabaseError,
    },
    /// Anything else, such as a folder that does not exist or a full disk.
    #[error("{} cannot be opened", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Opens the database in the file at `path`, with a page cache of so many bytes, and checks every page: a damaged one must be an
/// error now, not a panic on a later read. A file that does not exist is created readable only by its owner (mode 0600).
///
/// # Errors
/// [`OpenError`].
pub fn open(path: &Path, page_cache_bytes: usize) -> Result<Database, OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| io_error(path, error))?;
    let backend = FileBackend::new(file).map_err(|error| database_error(path, error))?;
    Database::builder()
        .set_cache_size(page_cache_bytes)
        .set_check_integrity_on_open(true)
        .create_with_backend(backend)
        .map_err(|error| database_error(path, error))
}

fn io_error(path: &Path, error: io::Error) -> OpenError {
    let path = path.to_owned();
    if error.kind() == io::ErrorKind::PermissionDenied {
        OpenError::Denied {
            path,
            source: error,
        }
    } else {
        OpenError::Unusable {
            path,
            source: error.into(),
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a library's error; few of its kinds matter at start-up"
)]
fn database_error(path: &Path, error: DatabaseError) -> OpenError {
    let damaged = |error| OpenError::Damaged {
        path: path.to_owned(),
        source: error,
    };
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            OpenError::InUse {
                path: path.to_owned(),
            }
        }
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() != io::ErrorKind::InvalidData =>
        {
            io_error(path, error)
        }
        error @ (DatabaseError::Storage(_) | DatabaseError::UpgradeRequired(_)) => damaged(error),
        error => OpenError::Unusable {
            path: path.to_owned(),
            source: error.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const CACHE: usize = 1_024 * 1_024;

    #[test]
    fn the_file_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lark.redb");
        drop(open(&path, CACHE).unwrap());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_in_use_is_refused_in_one_clear_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lark.redb");
        let _first = open(&path, CACHE).unwrap();
        let error = open(&path, CACHE).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{} is in use by another Lark Service process",
                path.display()
            )
        );
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lark.redb");
        std::fs::write(&path, "app_id,app_secret\n".repeat(1_000)).unwrap();
        assert!(matches!(
            open(&path, CACHE).unwrap_err(),
            OpenError::Damaged { .. }
        ));
    }

    #[test]
    fn a_folder_that_does_not_exist_is_named() {
        let error = open(Path::new("/nowhere/lark.redb"), CACHE).unwrap_err();
        assert_eq!(error.to_string(), "/nowhere/lark.redb cannot be opened");
    }

    #[test]
    fn a_folder_in_place_of_the_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            open(folder.path(), CACHE).unwrap_err(),
            OpenError::Unusable { .. }
        ));
    }
}
