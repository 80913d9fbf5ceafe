//! Checks of the data folder and the key file: they exist, and only their owner can read them.

use std::fs::{self, File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::Check;
use lark_service::config::{Config, KeysConfig, StoreConfig};

const FOLDER: &str = "data_folder";
const KEY_FILE: &str = "key_file";

/// Whether the key file, if there is one, can be read; and the checks.
pub(super) fn examine(config: &Config) -> (bool, Vec<Check>) {
    match &config.store {
        StoreConfig::Embedded { data_dir } => {
            let is_used = data_dir.join("store.redb").exists();
            let (is_readable, keys) = key_file(&data_dir.join("data-keys"), is_used);
            (is_readable, vec![folder(data_dir), keys])
        }
        StoreConfig::DynamoDb {
            keys: KeysConfig::File(path),
            ..
        } => {
            let (is_readable, keys) = key_file(path, true);
            (is_readable, vec![keys])
        }
        StoreConfig::DynamoDb { .. } => (true, Vec::new()),
    }
}

fn folder(path: &Path) -> Check {
    let shown = path.display();
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Check::failed(
                FOLDER,
                format!("there is no folder {shown}"),
                "set LARK_SERVICE_DATA_DIR to the folder of the service's data, or make it with `lark-service app add`",
            );
        }
        Err(error) => return denied(FOLDER, path, &error.to_string()),
    };
    if !found.is_dir() {
        let remedy = "set LARK_SERVICE_DATA_DIR to a folder";
        return Check::failed(FOLDER, format!("{shown} is not a folder"), remedy);
    }
    if let Some(check) = foreign(FOLDER, path, &found) {
        return check;
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        return Check::failed(
            FOLDER,
            format!("{shown} has mode {mode:o}: others may change what is in it"),
            format!("chmod 700 {shown}"),
        );
    }
    Check::ok(FOLDER, shown.to_string())
}

/// `is_used`: whether there is a store already, whose records need the keys.
fn key_file(path: &Path, is_used: bool) -> (bool, Check) {
    let shown = path.display();
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound && !is_used => {
            let detail = format!("{shown} is made when it is first needed");
            return (true, Check::skipped(KEY_FILE, detail));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let detail =
                format!("there is no {shown}: what was sealed with the keys in it does not open");
            let remedy = format!("restore {shown} from its backup, with mode 600");
            return (false, Check::failed(KEY_FILE, detail, remedy));
        }
        Err(error) => return (false, denied(KEY_FILE, path, &error.to_string())),
    };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let detail = format!("{shown} has mode {mode:o}: others may read the data keys");
        let remedy = format!("chmod 600 {shown}");
        return (false, Check::failed(KEY_FILE, detail, remedy));
    }
    if let Err(error) = File::open(path) {
        return (false, denied(KEY_FILE, path, &error.to_string()));
    }
    match foreign(KEY_FILE, path, &found) {
        Some(check) => (false, check),
        None => (true, Check::ok(KEY_FILE, format!("{shown}, mode 600"))),
    }
}

/// A failed check if the file belongs to another user. Our own user comes from our entry in `/proc`, if there is one.
fn foreign(name: &'static str, path: &Path, found: &Metadata) -> Option<Check> {
    let own = fs::metadata("/proc/self").ok()?.uid();
    // The superuser can read everything.
    let is_foreign = own != 0 && found.uid() != own;
    is_foreign.then(|| {
        let detail = format!(
            "{} belongs to the user {}, not to this one ({own})",
            path.display(),
            found.uid()
        );
        let remedy = format!(
            "run this as that user, or: sudo chown -R {own} {}",
            path.display()
        );
        Check::failed(name, detail, remedy)
    })
}

fn denied(name: &'static str, path: &Path, why: &str) -> Check {
    let detail = format!("{}: {why}", path.display());
    let remedy = format!(
        "run this as the user who owns {}, or let this one read it",
        path.display()
    );
    Check::failed(name, detail, remedy)
}
