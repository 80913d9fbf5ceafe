//! Reversible ids: a keyed permutation of a number and the tag of its owner. They need no table, however many apps
//! there are.

use crate::hash::{hash, mix};

/// The content of a well-formed id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// The number. There may be no user with it.
    Number(u64),
    /// The id is for another app; this is its tag, see [`app_tag`].
    Foreign(u64),
}

const ROUND_KEYS: [u64; 4] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0,
    0x082e_fa98_ec4e_6c89,
];

/// The id of user `n` for one app: `ou_` and 32 hexadecimal digits, different in every app.
pub fn open_id(app_id: &str, n: u32) -> String {
    format!("ou_{:032x}", permute(app_tag(app_id), n.into()))
}

/// The id of user `n` over all apps of one developer: `on_` and 32 hexadecimal digits.
pub fn union_id(n: u32) -> String {
    format!("on_{:032x}", permute(UNION_TAG, n.into()))
}

/// The id of user `n` in the tenant: 8 hexadecimal digits, the same for every app.
pub fn user_id(n: u32) -> String {
    let (mut left, mut right) = (n >> 16, n & 0xffff);
    for key in ROUND_KEYS {
        (left, right) = (right, left ^ (mix(u64::from(right) ^ key) as u32 & 0xffff));
    }
    format!("{:08x}", left << 16 | right)
}

/// The platform's id of department `n`: `od-` and 32 hexadecimal digits; `0` is the root.
pub fn open_department_id(n: u32) -> String {
    match n {
        0 => "0".to_owned(),
        _ => format!("od-{:032x}", permute(DEPARTMENT_TAG, n.into())),
    }
}

/// The tenant's own id of department `n`; `0` is the root.
pub fn department_id(n: u32) -> String {
    match n {
        0 => "0".to_owned(),
        _ => format!("dept{n:04}"),
    }
}

/// The id of chat `n`: `oc_` and 32 hexadecimal digits, the same for every app.
pub fn chat_id(n: u32) -> String {
    format!("oc_{:032x}", permute(CHAT_TAG, n.into()))
}

/// The id of the chat between user `n` and the bot of an app: `oc_` and 32 hexadecimal digits.
pub fn p2p_chat_id(app_id: &str, n: u32) -> String {
    format!("oc_{:032x}", permute(p2p_tag(app_id), n.into()))
}

/// The user in a chat with the bot of this app.
pub(crate) fn decode_p2p_chat_id(app_id: &str, chat_id: &str) -> Option<u64> {
    let (tag, n) = restore(hex128(chat_id.strip_prefix("oc_")?)?);
    (tag == p2p_tag(app_id)).then_some(n)
}

fn p2p_tag(app_id: &str) -> u64 {
    mix(app_tag(app_id) ^ CHAT_TAG)
}

/// The id of the thing with this number among those with the prefix, such as `om_`: 32 hexadecimal digits follow it.
pub(crate) fn numbered(prefix: &str, number: u64) -> String {
    format!("{prefix}{:032x}", permute(hash(prefix), number))
}

/// The number; there may be nothing with it.
pub(crate) fn decode_numbered(prefix: &str, id: &str) -> Option<u64> {
    let (tag, number) = restore(hex128(id.strip_prefix(prefix)?)?);
    (tag == hash(prefix)).then_some(number)
}

const CHAT_TAG: u64 = 0x6368_6174_5f69_645f;
const UNION_TAG: u64 = 0x756e_696f_6e5f_6964;
const DEPARTMENT_TAG: u64 = 0x6465_7061_7274_6d74;

/// The tag in the open_ids of an app, different for each app.
pub(crate) fn app_tag(app_id: &str) -> u64 {
    hash(app_id)
}

/// `None` if the text is not a well-formed open_id.
pub(crate) fn decode_open_id(app_id: &str, open_id: &str) -> Option<Decoded> {
    let (tag, n) = restore(hex128(open_id.strip_prefix("ou_")?)?);
    Some(if tag == app_tag(app_id) {
        Decoded::Number(n)
    } else {
        Decoded::Foreign(tag)
    })
}

pub(crate) fn decode_union_id(union_id: &str) -> Option<u64> {
    let (tag, n) = restore(hex128(union_id.strip_prefix("on_")?)?);
    (tag == UNION_TAG).then_some(n)
}

pub(crate) fn decode_chat_id(chat_id: &str) -> Option<u64> {
    let (tag, n) = restore(hex128(chat_id.strip_prefix("oc_")?)?);
    (tag == CHAT_TAG).then_some(n)
}

pub(crate) fn decode_user_id(user_id: &str) -> Option<u64> {
    let id = u32::try_from(hex(user_id, 8)?).ok()?;
    let (mut left, mut right) = (id >> 16, id & 0xffff);
    for key in ROUND_KEYS.into_iter().rev() {
        (left, right) = (right ^ (mix(u64::from(left) ^ key) as u32 & 0xffff), left);
    }
    Some(u64::from(left << 16 | right))
}

/// The number. There may be no department with it.
pub(crate) fn decode_open_department_id(id: &str) -> Option<u64> {
    if id == "0" {
        return Some(0);
    }
    let (tag, n) = restore(hex128(id.strip_prefix("od-")?)?);
    (tag == DEPARTMENT_TAG && n != 0).then_some(n)
}

pub(crate) fn decode_department_id(id: &str) -> Option<u64> {
    let n = match id {
        "0" => 0,
        id => id.strip_prefix("dept")?.parse().ok()?,
    };
    (department_id(n) == id).then_some(n.into())
}

/// A Feistel network over two 64-bit halves.
fn permute(mut left: u64, mut right: u64) -> u128 {
    for key in ROUND_KEYS {
        (left, right) = (right, left ^ mix(right ^ key));
    }
    u128::from(left) << 64 | u128::from(right)
}

fn restore(id: u128) -> (u64, u64) {
    let (mut left, mut right) = ((id >> 64) as u64, id as u64);
    for key in ROUND_KEYS.into_iter().rev() {
        (left, right) = (right ^ mix(left ^ key), left);
    }
    (left, right)
}

fn hex128(digits: &str) -> Option<u128> {
    hex(digits, 32)
}

/// Exactly `length` lower-case digits, so that every id has one spelling.
fn hex(digits: &str, length: usize) -> Option<u128> {
    let well_formed = digits.len() == length
        && digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    well_formed
        .then(|| u128::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_decodes_to_its_number() {
        for n in (1..=10_000).chain([u32::MAX]) {
            let number = u64::from(n);
            assert_eq!(
                decode_open_id("cli_a", &open_id("cli_a", n)),
                Some(Decoded::Number(number))
            );
            assert_eq!(decode_union_id(&union_id(n)), Some(number));
            assert_eq!(decode_user_id(&user_id(n)), Some(number));
            assert_eq!(
                decode_open_department_id(&open_department_id(n)),
                Some(number)
            );
            assert_eq!(decode_department_id(&department_id(n)), Some(number));
            assert_eq!(decode_chat_id(&chat_id(n)), Some(number));
            let p2p = p2p_chat_id("cli_a", n);
            assert_eq!(decode_p2p_chat_id("cli_a", &p2p), Some(number));
            assert_eq!(
                (decode_p2p_chat_id("cli_b", &p2p), decode_chat_id(&p2p)),
                (None, None)
            );
            assert_eq!(
                decode_numbered("om_", &numbered("om_", number)),
                Some(number)
            );
        }
        assert_eq!(decode_open_department_id("0"), Some(0));
        assert_eq!(decode_department_id("0"), Some(0));
    }

    #[test]
    fn an_open_id_of_another_app_names_that_app() {
        assert_eq!(
            decode_open_id("cli_a", &open_id("cli_b", 7)),
            Some(Decoded::Foreign(app_tag("cli_b")))
        );
    }

    #[test]
    fn malformed_ids_have_no_number() {
        let upper = open_id("cli_a", 1).to_uppercase().replace("OU_", "ou_");
        for id in ["", "ou_", "ou_12", "on_0", &union_id(1), &upper] {
            assert_eq!(decode_open_id("cli_a", id), None, "{id}");
        }
        for id in ["", "00", "od-", "dept1", "dept00001", "dept+001", "-1"] {
            assert_eq!(decode_open_department_id(id), None, "{id}");
            assert_eq!(decode_department_id(id), None, "{id}");
            assert_eq!(decode_chat_id(id), None, "{id}");
        }
    }

    #[test]
    fn ids_never_change_between_releases() {
        assert_eq!(
            open_id("cli_sim000001", 1),
            "ou_c27ec031898d9cf93948813c2dea6917"
        );
        assert_eq!(union_id(1), "on_706bf5946601624a0edf248b1a3b5c5f");
        assert_eq!(user_id(1), "9a782ccb");
        assert_eq!(open_department_id(1), "od-7b85093e80b1f00d503e82aa4d3506d5");
    }
}
