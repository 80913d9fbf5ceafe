//! Percent-decoding as API Gateway does it before a function sees a value.

use lambda_http::aws_lambda_events::query_map::QueryMap;
use percent_encoding::percent_decode_str;

/// A path parameter's value. `+` stays `+`; bytes that are not UTF-8 become U+FFFD.
pub(crate) fn path_value(raw: &str) -> String {
    percent_decode_str(raw).decode_utf8_lossy().into_owned()
}

/// The parameters of a query string, in which `+` is a space.
pub(crate) fn query(raw: &str) -> QueryMap {
    raw.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_value_is_decoded_once() {
        for (raw, value) in [
            ("ou_1", "ou_1"),
            ("a%2Fb", "a/b"),
            ("a+b", "a+b"),
            ("%E9%A3%9E", "飞"),
            ("%2541", "%41"),
            ("100%", "100%"),
            ("%zz", "%zz"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(path_value(raw), value, "{raw}");
        }
    }

    #[test]
    fn query_parameters_may_repeat_and_are_decoded() {
        let parameters = query("a=1&a=2+3&b=%26&c");
        assert_eq!(parameters.all("a"), Some(vec!["1", "2 3"]));
        assert_eq!(parameters.first("b"), Some("&"));
        assert_eq!(parameters.first("c"), Some(""));
        assert!(query("").is_empty());
    }
}
