//! Checks of the platform: reachable, and its clock agrees with ours.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use http::header;
use serde::Deserialize;
use url::Url;

use super::Check;
use super::apps::Known;
use super::report::because;
use lark_service::clock::{Clock, Timestamp};
use lark_service::config::{Config, StoreConfig};
use lark_service::lark::Domain;

const LARK: &str = "lark";
const CLOCK: &str = "clock";
/// The time-out of one call.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A clock that is off by more shortens the lifetime of tokens.
const SKEW_WARNED: Duration = Duration::from_secs(30);
/// A clock that is off by more makes tokens useless and signatures invalid.
const SKEW_FAILED: Duration = Duration::from_secs(300);
/// How to correct the clock.
const SET_CLOCK: &str = "let this machine follow a time server: timedatectl set-ntp true";

/// What every answer of the platform contains.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "code")]
    _code: i64,
}

/// Whether every platform of the `known` apps answers, and the checks.
pub(super) async fn examine(
    http: &reqwest::Client,
    config: &Config,
    known: &[Known],
    clock: &Arc<dyn Clock>,
) -> (bool, Vec<Check>) {
    let is_on = |domain| known.iter().any(|known| known.domain() == Some(domain));
    let mut domains = vec![Domain::Feishu, Domain::Lark];
    domains.retain(|domain| is_on(*domain));
    if domains.is_empty() {
        domains.push(Domain::Feishu);
    }
    let (mut checks, mut date, mut is_reachable) = (Vec::new(), None, true);
    for domain in domains {
        let url = config.lark.open_url(domain);
        match ask(http, url).await {
            Ok(answered_at) => {
                checks.push(Check::ok(LARK, format!("{url} answers")));
                date = date.or(answered_at);
            }
            Err(detail) => {
                is_reachable = false;
                checks.push(unreachable(domain, url, &detail));
            }
        }
    }
    checks.push(match date {
        Some(date) => judge(date, clock.now(), "the platform"),
        None => Check::skipped(CLOCK, "the platform did not say what time it is"),
    });
    (is_reachable, checks)
}

/// Compares the clock with DynamoDB's, if that is the store.
pub(super) async fn clock_by_dynamodb(
    http: &reqwest::Client,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Check {
    let StoreConfig::DynamoDb { .. } = config.store else {
        return Check::skipped(CLOCK, "--offline, and the store has no clock of its own");
    };
    let url = match (&config.aws.endpoint_url, &config.aws.region) {
        (Some(url), _) => url.clone(),
        (None, Some(region)) => format!("https://dynamodb.{region}.amazonaws.com/"),
        (None, None) => return Check::skipped(CLOCK, "AWS_REGION is not set"),
    };
    match http.get(url).timeout(TIMEOUT).send().await {
        Ok(answer) => match date(&answer) {
            Some(date) => judge(date, clock.now(), "DynamoDB"),
            None => Check::skipped(CLOCK, "DynamoDB did not say what time it is"),
        },
        Err(_) => Check::skipped(CLOCK, "DynamoDB did not answer"),
    }
}

/// Requests a token without app credentials: the platform refuses in its usual form, and no app's quota is charged.
async fn ask(http: &reqwest::Client, origin: &Url) -> Result<Option<Timestamp>, String> {
    let url = origin.join("open-apis/auth/v3/tenant_access_token/internal");
    let url = url.map_err(|error| error.to_string())?;
    let request = http.post(url).json(&serde_json::json!({})).timeout(TIMEOUT);
    let answer = request
        .send()
        .await
        .map_err(|error| because(&error.without_url()))?;
    let (date, status) = (date(&answer), answer.status());
    match answer.json::<Envelope>().await {
        Ok(_) => Ok(date),
        Err(_) if status.is_server_error() => Err(format!("it answers with status {status}")),
        Err(_) => Err(format!(
            "what answers (with status {status}) is not the Lark Open Platform"
        )),
    }
}

fn date(answer: &reqwest::Response) -> Option<Timestamp> {
    let text = answer.headers().get(header::DATE)?.to_str().ok()?;
    let date = DateTime::from_str(text, Format::HttpDate).ok()?;
    Some(Timestamp::from_seconds(date.secs()))
}

fn unreachable(domain: Domain, url: &Url, detail: &str) -> Check {
    let (variable, default) = match domain {
        Domain::Feishu => ("LARK_SERVICE_FEISHU_URL", "https://open.feishu.cn"),
        Domain::Lark => ("LARK_SERVICE_LARK_URL", "https://open.larksuite.com"),
    };
    Check::failed(
        LARK,
        format!("{url}: {detail}"),
        format!(
            "let this machine reach {url} (DNS, NAT gateway, firewall), or correct {variable}; the platform is at {default}"
        ),
    )
}

fn judge(theirs: Timestamp, ours: Timestamp, reference: &str) -> Check {
    // The header has whole seconds.
    let skew = theirs.since(ours).max(ours.since(theirs));
    let seconds = skew.as_secs();
    let way = if ours > theirs { "ahead of" } else { "behind" };
    let detail = format!("this machine's clock is {seconds} s {way} that of {reference}");
    if skew > SKEW_FAILED {
        Check::failed(CLOCK, detail, SET_CLOCK)
    } else if skew > SKEW_WARNED {
        Check::warning(CLOCK, detail, SET_CLOCK)
    } else {
        Check::ok(
            CLOCK,
            format!("within {} s of {reference}", SKEW_WARNED.as_secs()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;

    #[test]
    fn a_clock_that_is_off_either_way_is_judged_by_how_far() {
        let now = Timestamp::from_seconds(1_000_000);
        let check = |skew: u64, expected: Status| {
            let skew = Duration::from_secs(skew);
            assert_eq!(judge(now + skew, now, "x").status, expected);
            assert_eq!(judge(now, now + skew, "x").status, expected);
        };
        check(0, Status::Ok);
        check(30, Status::Ok);
        check(31, Status::Warning);
        check(300, Status::Warning);
        check(301, Status::Failed);
    }
}
