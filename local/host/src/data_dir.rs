//! The host's files: one folder for each platform it has talked to, with the store, its data keys and the API key.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use lark_service::api_keys::ApiKey;
use secrecy::{ExposeSecret, SecretString};

use crate::error::HostError;

/// A folder that only its owner may enter.
#[derive(Clone, Debug)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// The folder at `path`, created if missing.
    ///
    /// # Errors
    /// [`HostError::Data`].
    pub(crate) fn open(path: PathBuf) -> Result<Self, HostError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        match made {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(data_error(
                &path,
                &format!("the data folder cannot be made: {error}; choose another with --data-dir"),
            )),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The file of the simulator's tokens.
    pub(crate) fn simulator_tokens(&self) -> PathBuf {
        self.0.join("simulator-tokens")
    }

    /// The API key in this folder, generated the first time. The store must be open already: it locks out other processes.
    ///
    /// # Errors
    /// [`HostError::Data`] with the fix.
    pub(crate) fn api_key(&self) -> Result<SecretString, HostError> {
        let path = self.0.join("api-key");
        match fs::read_to_string(&path) {
            Ok(text) => {
                check_mode(&path)?;
                let key = ApiKey::parse(text.trim()).ok_or_else(|| {
                    data_error(&path, "is not an API key; remove it, and a new one is made")
                })?;
                Ok(key.reveal())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = ApiKey::generate()?.reveal();
                write_secret(&path, &key).map_err(|error| data_error(&path, &error.to_string()))?;
                Ok(key)
            }
            Err(error) => Err(data_error(&path, &error.to_string())),
        }
    }
}

/// Writes a temporary file and renames it: the file is complete or missing.
fn write_secret(path: &Path, secret: &SecretString) -> std::io::Result<()> {
    let draft = path.with_extension("draft");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{}", secret.expose_secret())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

fn check_mode(path: &Path) -> Result<(), HostError> {
    let metadata = fs::metadata(path).map_err(|error| data_error(path, &error.to_string()))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode.trailing_zeros() >= 6 {
        return Ok(());
    }
    Err(data_error(
        path,
        &format!("has mode {mode:o}; run chmod 600 on it"),
    ))
}

fn data_error(path: &Path, problem: &str) -> HostError {
    HostError::Data {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, DataDir) {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path().join("deep/data")).unwrap();
        (folder, data)
    }

    #[test]
    fn the_api_key_is_made_once_and_is_for_its_owner_only() {
        let (_folder, data) = folder();
        let key = data.api_key().unwrap();
        let again = data.api_key().unwrap();
        assert_eq!(key.expose_secret(), again.expose_secret());
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data.path().join("api-key")), 0o600);
        assert_eq!(mode(data.path()), 0o700);
    }

    #[test]
    fn a_key_file_that_cannot_be_used_is_refused_with_the_remedy() {
        let (_folder, data) = folder();
        let path = data.path().join("api-key");
        data.api_key().unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = data.api_key().unwrap_err().to_string();
        assert!(
            error.ends_with("api-key: has mode 644; run chmod 600 on it"),
            "{error}"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "hello").unwrap();
        let error = data.api_key().unwrap_err().to_string();
        assert!(error.contains("remove it"), "{error}");
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = DataDir::open(file.join("data")).unwrap_err().to_string();
        assert!(
            error.contains("--data-dir") && error.contains("file/data"),
            "{error}"
        );
    }
}
