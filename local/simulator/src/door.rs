//! Who may call a server on this machine: programs, and pages that it served itself.
//!
//! A browser on the same machine reaches loopback for any page that it shows. A page of another origin can send simple requests
//! there without asking, and with a name that leads to 127.0.0.1 it can even read the answers (DNS rebinding). So the name that
//! was asked for must be one of this machine's, and so must the origin of a page that asks.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HOST, ORIGIN, USER_AGENT};

/// Why a request with these `headers` is refused; `None`: it is not. `name` is another name of this machine, if it has one: of a
/// tunnel that ends here.
#[must_use]
pub fn refusal(headers: &HeaderMap, name: Option<&str>) -> Option<&'static str> {
    // Containers are no browsers, and whoever answers for that name in a network could lead a browser here.
    let agent = headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    let is_browser = agent.is_some_and(|agent| agent.starts_with("Mozilla/"));
    let container = (!is_browser).then_some("host.docker.internal");
    let is_own = |authority: &str| is_own(authority, &[name, container]);
    let text = |name| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    // HTTP/1.0 has no Host. A browser always sends one.
    if text(&HOST).is_some_and(|host| !is_own(host)) {
        return Some("the header Host names another machine: use 127.0.0.1 or localhost");
    }
    let is_foreign = match text(&ORIGIN) {
        None => false,
        // A page that sends no referrer; the browser says whether it is the server's own.
        Some("null") => headers
            .get("sec-fetch-site")
            .is_none_or(|site| site != "same-origin"),
        Some(origin) => {
            let authority = origin.strip_prefix("http://");
            !authority
                .or(origin.strip_prefix("https://"))
                .is_some_and(is_own)
        }
    };
    is_foreign.then_some("the header Origin names a page of another machine")
}

/// Whether `authority`, a host with or without a port, is this machine: by a loopback address, by `localhost`, or by one of `names`.
fn is_own(authority: &str, names: &[Option<&str>]) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        Some(_) | None => (authority, "0"),
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = address.parse().ok();
    port.parse::<u16>().is_ok()
        && (address.is_some_and(|address| address.is_loopback())
            || host.eq_ignore_ascii_case("localhost")
            || names
                .iter()
                .flatten()
                .any(|name| host.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn is_refused(headers: &[(&'static str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        refusal(&headers.collect(), Some("tunnel.example")).is_some()
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for own in [
            "127.0.0.1:9000",
            "127.0.0.1",
            "127.9.9.9:1",
            "localhost:9000",
            "LOCALHOST",
            "[::1]:9000",
            "[::1]",
            "host.docker.internal:9100",
            "tunnel.example",
        ] {
            assert!(!is_refused(&[("host", own)]), "{own}");
            let origin = format!("http://{own}");
            assert!(!is_refused(&[("host", own), ("origin", &origin)]), "{own}");
        }
        for foreign in [
            "",
            "evil.example",
            "evil.example:9000",
            "127.0.0.1.evil.example:9000",
            "localhost.evil.example",
            "192.168.1.7:9000",
            "0.0.0.0:9000",
            "127.0.0.1:9000:x",
            "127.0.0.1:99999",
            "127.0.0.1@evil.example",
            "[::2]:9000",
        ] {
            assert!(is_refused(&[("host", foreign)]), "{foreign}");
            let origin = format!("http://{foreign}");
            let headers = [("host", "127.0.0.1:9000"), ("origin", &*origin)];
            assert!(is_refused(&headers), "{foreign}");
        }
    }

    #[test]
    fn only_containers_have_another_name_for_it() {
        let host = ("host", "host.docker.internal:9100");
        assert!(!is_refused(&[host, ("user-agent", "python-requests/2.32")]));
        assert!(is_refused(&[
            host,
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)")
        ]));
    }

    #[test]
    fn a_page_without_a_name_asks_only_where_it_is_from() {
        let host = ("host", "127.0.0.1:9000");
        assert!(!is_refused(&[host]));
        assert!(is_refused(&[host, ("origin", "null")]));
        for (site, expected) in [("same-origin", false), ("cross-site", true), ("none", true)] {
            let headers = [host, ("origin", "null"), ("sec-fetch-site", site)];
            assert_eq!(is_refused(&headers), expected, "{site}");
        }
        for scheme in [
            "chrome-extension://x",
            "file://",
            "ftp://127.0.0.1",
            "127.0.0.1",
        ] {
            assert!(is_refused(&[host, ("origin", scheme)]), "{scheme}");
        }
    }
}
