//! Values on the command line.

use std::time::Duration;

use lark_service::api_keys::{Allowed, AllowedApps, AllowedTenants, RateLimit};
use lark_service::clock::Timestamp;
use lark_service::ids::{AppId, OpenId, TenantKey};
use lark_service::meter::Month;

pub(crate) fn app_id(text: &str) -> Result<AppId, String> {
    AppId::parse(text).ok_or_else(|| "an app id has 1 to 64 letters, digits, `_` or `-`".to_owned())
}

pub(crate) fn open_id(text: &str) -> Result<OpenId, String> {
    OpenId::parse(text).ok_or_else(|| "an open_id starts with `ou_`".to_owned())
}

pub(crate) fn tenant_key(text: &str) -> Result<TenantKey, String> {
    TenantKey::parse(text)
        .ok_or_else(|| "a tenant key has 1 to 64 letters, digits, `_` or `-`".to_owned())
}

pub(crate) fn month(text: &str) -> Result<Month, String> {
    Month::parse(text).ok_or_else(|| "say year and month, such as 2026-11".to_owned())
}

/// A rate limit, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit(pub(crate) Option<RateLimit>);

pub(crate) fn rate_limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let limit = RateLimit::parse(text);
    let limit = limit
        .ok_or_else(|| "say requests/seconds, such as 600/60, a day at most; or none".to_owned());
    Ok(Limit(Some(limit?)))
}

/// `0`, or a number with `s`, `m`, `h` or `d`.
pub(crate) fn length(text: &str) -> Result<Duration, String> {
    let wrong = || "say 0, or a number with s, m, h or d, such as 24h".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 24 * 3_600,
        Some(_) | None => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = number
        .checked_mul(unit)
        .filter(|s| *s <= 100 * 365 * 24 * 3_600);
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

/// When something expires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    At(Timestamp),
    In(Duration),
}

impl End {
    /// The time, relative to `now`.
    pub(crate) fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::In(length) => now + length,
        }
    }
}

/// A length such as `90d`, or an RFC 3339 time.
pub(crate) fn end(text: &str) -> Result<End, String> {
    if let Ok(length) = length(text) {
        return Ok(End::In(length));
    }
    let wrong = || "say a length such as 90d, or a time such as 2027-01-31T08:00:00Z".to_owned();
    Timestamp::parse(text).map(End::At).ok_or_else(wrong)
}

/// `*` for all, or app ids.
pub(crate) fn allowed_apps(texts: &[String]) -> Result<AllowedApps, String> {
    allowed(texts, app_id)
}

/// `*` for all, or tenant keys.
pub(crate) fn allowed_tenants(texts: &[String]) -> Result<AllowedTenants, String> {
    allowed(texts, tenant_key)
}

fn allowed<Id: Ord>(
    texts: &[String],
    parse: impl Fn(&str) -> Result<Id, String>,
) -> Result<Allowed<Id>, String> {
    if texts.iter().any(|text| text == "*") {
        return if texts.len() == 1 {
            Ok(Allowed::All)
        } else {
            Err("`*` stands for all: name no others".to_owned())
        };
    }
    let ids = texts.iter().map(|text| parse(text));
    Ok(Allowed::Only(ids.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_a_unit() {
        assert_eq!(length("0"), Ok(Duration::ZERO));
        assert_eq!(length("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(length("30d"), Ok(Duration::from_secs(30 * 24 * 3_600)));
        for wrong in [
            "",
            "d",
            "24",
            "-1h",
            "1w",
            "99999999999999999999d",
            "9999999d",
            "1é",
        ] {
            assert!(length(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_end_is_a_length_or_a_moment() {
        let now = Timestamp::from_seconds(1_000);
        assert_eq!(
            end("1m").unwrap().moment(now),
            Timestamp::from_seconds(1_060)
        );
        let moment = end("2026-01-31T08:00:00Z").unwrap().moment(now);
        assert_eq!(moment, Timestamp::from_seconds(1_769_846_400));
        assert!(end("tomorrow").is_err());
    }

    #[test]
    fn all_apps_or_some() {
        let some = |texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
            allowed_apps(&texts)
        };
        assert_eq!(some(&["*"]), Ok(AllowedApps::All));
        assert!(some(&["*", "cli_a"]).is_err());
        assert!(some(&["cli a"]).is_err());
        assert_eq!(
            some(&["cli_b", "cli_a"]).unwrap().to_string(),
            "cli_a cli_b"
        );
    }
}
