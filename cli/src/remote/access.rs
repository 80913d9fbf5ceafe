//! Where a running service may be, and the key for it.

use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use lark_service::api_keys::ApiKey;
use lark_service::config::variable;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use crate::failure::Failure;

/// The largest file with a key.
const MAX_KEY_FILE: u64 = 4_096;

/// The address of a service: https, or http on this machine.
pub(super) fn base(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "must be like https://lark.example.com")?;
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => return Err("must have a host"),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not have a user or a password");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not have a query or a fragment");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        "http" => Err(
            "must begin with https://: over http:// everybody on the way could read the key, so that is for 127.0.0.1 only",
        ),
        _ => Err("must begin with https://"),
    }
}

/// The key: of the file that is given, of the environment, or of the file that the environment names.
pub(super) fn key(file: Option<&Path>) -> Result<SecretString, Failure> {
    let (from, text) = if let Some(path) = file {
        (path.display().to_string(), key_in(path)?)
    } else if let Some(key) = variable("LARK_SERVICE_API_KEY").filter(|key| !key.is_empty()) {
        ("LARK_SERVICE_API_KEY".to_owned(), key)
    } else if let Some(path) = variable("LARK_SERVICE_API_KEY_FILE").filter(|it| !it.is_empty()) {
        let key = key_in(Path::new(&path))?;
        (path, key)
    } else {
        let detail = "an API key is needed: put it into LARK_SERVICE_API_KEY, or name a file with it in LARK_SERVICE_API_KEY_FILE or \
                      with --api-key-file";
        return Err(Failure::Usage(detail.to_owned()));
    };
    let text = SecretString::from(text);
    let key = ApiKey::parse(text.expose_secret().trim());
    let key = key.ok_or_else(|| {
        Failure::Usage(format!(
            "what is in {from} is not an API key: those begin with lsk_"
        ))
    })?;
    Ok(key.reveal())
}

fn key_in(path: &Path) -> Result<String, Failure> {
    let wrong = |error| Failure::Usage(format!("the API key's file {}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(wrong)?;
    let mut text = String::new();
    file.take(MAX_KEY_FILE)
        .read_to_string(&mut text)
        .map_err(wrong)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_to_no_address_where_others_could_read_it() {
        for right in [
            "https://lark.example.com",
            "https://lark.example.com/prod/",
            "http://127.0.0.1:9000",
            "http://localhost:9000",
            "http://[::1]:9000",
        ] {
            assert!(base(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "lark.example.com",
            "http://lark.example.com",
            "http://10.0.0.1",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "ftp://127.0.0.1",
            "https://user:secret@lark.example.com",
            "https://lark.example.com?key=1",
        ] {
            assert!(base(wrong).is_err(), "{wrong}");
        }
    }
}
