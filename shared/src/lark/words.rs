//! What the platform says in its own words, made fit to be quoted in answers, logs and records: short, on one line, and without
//! what may identify a person or open a door.

/// The longest quotation, in characters.
const MAX_CHARS: usize = 300;
/// How much of the text is looked at, in characters: what is masked gets shorter.
const MAX_READ: usize = 1_000;
/// The longest id of a call, in characters.
const MAX_ID_CHARS: usize = 64;
/// A word of at least so many letters, digits, `_`, `-` and `.` may be a token or a secret.
const SECRET_CHARS: usize = 20;
/// So many digits may be a mobile number. Codes of the platform have at most eight.
const MOBILE_DIGITS: usize = 9;
/// What the ids of users, chats, departments and apps begin with: they are no secrets.
const IDS: [&str; 6] = ["ou_", "on_", "oc_", "od-", "om_", "cli_"];

/// `text` as it may be quoted.
pub(super) fn quoted(text: &str) -> String {
    let read: String = text.chars().take(MAX_READ).map(visible).collect();
    let mut told = String::new();
    for word in read.split_whitespace() {
        if !told.is_empty() {
            told.push(' ');
        }
        told.push_str(&masked(word));
    }
    let is_whole = text.chars().nth(MAX_READ).is_none() && told.chars().nth(MAX_CHARS).is_none();
    if is_whole {
        return told;
    }
    told.chars().take(MAX_CHARS - 1).chain(['…']).collect()
}

/// The platform's id of a call, if `text` can be one.
pub(super) fn call_id(text: &str) -> Option<String> {
    let text = text.trim();
    let is_one = !text.is_empty()
        && text.len() <= MAX_ID_CHARS
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_one.then(|| text.to_owned())
}

/// No line ends and nothing that moves a terminal's cursor or the direction of writing.
fn visible(char: char) -> char {
    let turns = matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if char.is_control() || turns {
        ' '
    } else {
        char
    }
}

/// `word`, or what stands for it.
fn masked(word: &str) -> String {
    let mut told = String::new();
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|char| !is_of_value(char)).unwrap_or(rest.len());
        let (value, after) = rest.split_at(end);
        told.push_str(stand_in(value).unwrap_or(value));
        let next = after.chars().next().map_or(0, char::len_utf8);
        told.push_str(&after[..next]);
        rest = &after[next..];
    }
    told
}

/// A character of which addresses, numbers and tokens are made.
const fn is_of_value(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '@' | '_' | '-' | '.' | '+' | '%')
}

fn stand_in(value: &str) -> Option<&'static str> {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    if value.contains('@') && value.len() > 1 || value.contains("%40") {
        return Some("[address]");
    }
    if IDS.iter().any(|id| value.starts_with(id)) {
        return None;
    }
    if digits >= MOBILE_DIGITS && letters == 0 {
        return Some("[number]");
    }
    (value.len() >= SECRET_CHARS && digits > 0).then_some("[secret]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_identifies_or_opens_is_masked_and_the_rest_is_told() {
        let cases = [
            ("app not found", "app not found"),
            (
                "Invalid access token for authorization.",
                "Invalid access token for authorization.",
            ),
            ("no user ann@example.com here", "no user [address] here"),
            ("email=ann%40example.com&x", "email=[address]&x"),
            ("\"ann@example.com\",", "\"[address]\","),
            ("mobile +8613800000002 unknown", "mobile [number] unknown"),
            ("mobile 138-0000-0002", "mobile [number]"),
            ("code 99991663: 10013", "code 99991663: 10013"),
            (
                "token t-g1044qeGEDXTB6NDJOGV4JQCYDGHRBARFTGT1234",
                "token [secret]",
            ),
            ("secret=dskLLdkasdjlasdKK1234567", "secret=[secret]"),
            (
                "user ou_84aad35d084aa403a838cf73ee18467a gone",
                "user ou_84aad35d084aa403a838cf73ee18467a gone",
            ),
            ("应用不存在 ann@example.com。", "应用不存在 [address]。"),
            ("two\r\nlines\u{1b}[31m\u{202e}", "two lines [31m"),
            ("  spaced\t out ", "spaced out"),
            ("", ""),
        ];
        for (said, told) in cases {
            assert_eq!(quoted(said), told, "{said:?}");
        }
    }

    #[test]
    fn a_quotation_is_bounded_whatever_was_said() {
        for said in [
            "x".repeat(1_000_000),
            "字 ".repeat(400_000),
            "a@b ".repeat(250_000),
            "\n".repeat(1_000_000),
        ] {
            let told = quoted(&said);
            assert!(told.chars().count() <= MAX_CHARS, "{}", told.len());
        }
        assert_eq!(quoted(&"y ".repeat(150)).chars().last(), Some('y'));
        assert_eq!(quoted(&"y ".repeat(151)).chars().last(), Some('…'));
    }

    #[test]
    fn an_id_of_a_call_is_short_and_plain() {
        let log_id = "202106011200000100001101012B1B0F67";
        assert_eq!(call_id(log_id).as_deref(), Some(log_id));
        for said in ["", " ", "two words", "a\nb", &"x".repeat(65), "日志"] {
            assert_eq!(call_id(said), None, "{said:?}");
        }
    }
}
