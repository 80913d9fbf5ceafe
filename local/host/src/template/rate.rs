//! `rate(5 minutes)`.

use std::time::Duration;

/// Reads a schedule expression.
pub(super) fn parse(expression: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "the schedule `{expression}` is not known to the local host; it knows `rate(5 minutes)`, hours and days"
        )
    };
    let inner = expression
        .strip_prefix("rate(")
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or_else(wrong)?;
    let (number, unit) = inner.trim().split_once(' ').ok_or_else(wrong)?;
    let seconds = match unit.trim_start() {
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3_600,
        "day" | "days" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err(wrong());
    }
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, seconds: Option<u64>) {
        let read = parse(expression).ok();
        assert_eq!(read, seconds.map(Duration::from_secs), "{expression}");
    }

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        check("rate(1 minute)", Some(60));
        check("rate(5 minutes)", Some(300));
        check("rate(2 hours)", Some(7_200));
        check("rate(1 day)", Some(86_400));
    }

    #[test]
    fn anything_else_is_refused() {
        for expression in [
            "",
            "rate()",
            "rate(0 minutes)",
            "rate(-1 minutes)",
            "rate(1 fortnight)",
            "rate(1minute)",
            "rate(1 minute",
            "cron(0 * * * ? *)",
        ] {
            check(expression, None);
        }
    }
}
