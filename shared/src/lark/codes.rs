//! Lark's codes, by how to handle them: the one table.
//!
//! Sources: the platform's pages "Generic error codes", "Get tenant_access_token", "Frequency control" and the error tables
//! of the contact, chat and message APIs. `code` decides; `msg` is not stable and the HTTP status differs between API families.

use crate::error::FailureKind;

/// The kind of failure of `code`; for unknown codes the HTTP `status` decides.
pub(super) const fn kind_of(code: i64, status: u16) -> FailureKind {
    match code {
        // Gateway: tenant token, app token, user token, malformed token, expired user token.
        // Login: user token invalid.
        99_991_663 | 99_991_664 | 99_991_665 | 99_991_668 | 99_991_671 | 99_991_677 | 20_005 => {
            FailureKind::TokenInvalid
        }
        // Token endpoints: unknown app, no app token, wrong secret (in practice 10014, by the docs 10015).
        // Gateway: app not in use, wrong app id or secret. Chats: app not installed.
        // OAuth: wrong secret, app not installed, missing, disabled.
        10_003 | 10_012 | 10_014 | 10_015 | 10_016 | 99_991_543 | 99_991_662 | 20_002 | 20_009
        | 20_048 | 20_069 | 232_034 => FailureKind::AppRefused,
        // Token endpoints: no tenant token. Gateway: app not installed.
        10_013 | 99_991_673 => FailureKind::TenantRefused,
        // OAuth: code unknown, expired, used, of another app or redirect; PKCE failed; refresh token invalid, expired,
        // revoked, used, of another app, refreshing switched off; user missing, in a bad state, not allowed to use the app.
        20_003 | 20_004 | 20_008 | 20_010 | 20_024 | 20_026 | 20_037 | 20_049 | 20_064 | 20_065
        | 20_066 | 20_071 | 20_073 | 20_074 => FailureKind::GrantVoid,
        // Gateway: frequency limit. Of chats.
        99_991_400 | 232_019 => FailureKind::RateLimited,
        // Gateway: the month's calls of a free plan are used up. It comes as 429 too, and waiting for seconds does not help.
        99_991_403 => FailureKind::QuotaExhausted,
        // Gateway: open_id, message, chat, department, user_id and union_id that do not exist or belong elsewhere.
        // Contact: department, user. Chats: chat_id, dissolved.
        99_992_351..=99_992_361
        | 99_992_363
        | 99_992_364
        | 99_992_379..=99_992_381
        | 40_015
        | 41_012
        | 232_006
        | 232_009 => FailureKind::NotFound,
        // Gateway: scope missing, no permission, not authorised by the user, IP not allowed. Contact: out of scope.
        // Chats: of another tenant, bot not in it, no permission (twice), not visible, bot switched off, external. Such a chat
        // exists, and one invitation or switch later the app may see it.
        // Uploads: not authorised, bot switched off.
        99_991_401 | 99_991_672 | 99_991_676 | 99_991_679 | 40_004 | 40_014 | 41_050 | 232_010
        | 232_011 | 232_014 | 232_017 | 232_024 | 232_025 | 232_033 | 234_002 | 234_007 => {
            FailureKind::Forbidden
        }
        // Gateway: field validation, malformed body. Contact: parameter, department empty, paging, too many to recurse.
        // Chats: parameter, app, kind of chat, ids. Uploads: parameter, too large, empty, unknown format, resolution.
        // OAuth: parameter missing, malformed body, grant_type, scope repeated, scope not granted.
        99_992_402 | 9_499 | 40_001 | 40_008 | 40_011 | 40_012 | 43_010 | 232_001 | 232_004
        | 232_008 | 232_043 | 234_001 | 234_006 | 234_010 | 234_011 | 234_039 | 20_001 | 20_036
        | 20_063 | 20_067 | 20_068 | 20_070 => FailureKind::Invalid,
        // Contact: internal error. Uploads: writing is stopped for a while. OAuth: server error, unavailable.
        40_003 | 232_096 | 20_050 | 20_072 => FailureKind::Unavailable,
        _ => match kind_of_message(code) {
            Some(kind) => kind,
            None => kind_of_status(status),
        },
    }
}

/// The kind of failure of `code` in answers to calls about messages.
const fn kind_of_message(code: i64) -> Option<FailureKind> {
    Some(match code {
        // Per chat or user; of the whole platform, and of a chat there.
        230_020 | 11_232 | 11_233 => FailureKind::RateLimited,
        // Recalled, topic, deleted.
        230_011 | 230_019 | 230_034 | 230_110 => FailureKind::NotFound,
        // Bot not in the chat, bot switched off, too old to recall, not the sender, user not available, settings of the group, not to
        // be recalled, no permission, user gone, card too old, muted, keys deleted, another tenant, not visible, stopped by the
        // user, not the sender, edits used up, secret group, thread not visible, too old to edit; of the history: kind of chat,
        // kind of app.
        230_002
        | 230_006
        | 230_009
        | 230_012
        | 230_013
        | 230_018
        | 230_026
        | 230_027
        | 230_029
        | 230_031
        | 230_035
        | 230_036
        | 230_038
        | 230_050
        | 230_053
        | 230_071..=230_075
        | 231_203
        | 231_204 => FailureKind::Forbidden,
        // Parameter, a chat that cannot be shared, another app's file, too long, receiver, kind of message, kind of file, card.
        230_001 | 230_015 | 230_017 | 230_025 | 230_054 | 230_055 | 230_099 => FailureKind::Invalid,
        // An earlier call with the same uuid is under way.
        230_049 => FailureKind::Unavailable,
        _ => return None,
    })
}

/// The kind of failure of an answer without a known code.
pub(super) const fn kind_of_status(status: u16) -> FailureKind {
    match status {
        429 => FailureKind::RateLimited,
        500.. => FailureKind::Unavailable,
        _ => FailureKind::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_whatever_the_status() {
        assert_eq!(kind_of(99_991_663, 200), FailureKind::TokenInvalid);
        assert_eq!(kind_of(99_991_663, 400), FailureKind::TokenInvalid);
        assert_eq!(kind_of(99_991_400, 400), FailureKind::RateLimited);
        assert_eq!(kind_of(99_991_403, 429), FailureKind::QuotaExhausted);
        assert_eq!(kind_of(10_014, 200), FailureKind::AppRefused);
        assert_eq!(kind_of(10_013, 400), FailureKind::TenantRefused);
        assert_eq!(kind_of(99_991_673, 400), FailureKind::TenantRefused);
        assert_eq!(kind_of(99_992_351, 400), FailureKind::NotFound);
        assert_eq!(kind_of(41_050, 403), FailureKind::Forbidden);
    }

    #[test]
    fn what_does_not_exist_is_told_from_what_may_not_be_seen() {
        for code in [99_992_357, 99_992_380, 40_015, 232_006, 232_009] {
            assert_eq!(kind_of(code, 400), FailureKind::NotFound, "{code}");
        }
        for code in [40_004, 232_010, 232_011, 232_017, 232_024, 232_025, 232_033] {
            assert_eq!(kind_of(code, 400), FailureKind::Forbidden, "{code}");
        }
    }

    /// The whole table once more, as the platform's pages list the codes.
    const TABLE: [(FailureKind, &[i64]); 10] = [
        (
            FailureKind::TokenInvalid,
            &[
                20_005, 99_991_663, 99_991_664, 99_991_665, 99_991_668, 99_991_671, 99_991_677,
            ],
        ),
        (
            FailureKind::AppRefused,
            &[
                10_003, 10_012, 10_014, 10_015, 10_016, 20_002, 20_009, 20_048, 20_069, 232_034,
                99_991_543, 99_991_662,
            ],
        ),
        (FailureKind::TenantRefused, &[10_013, 99_991_673]),
        (
            FailureKind::GrantVoid,
            &[
                20_003, 20_004, 20_008, 20_010, 20_024, 20_026, 20_037, 20_049, 20_064, 20_065,
                20_066, 20_071, 20_073, 20_074,
            ],
        ),
        (
            FailureKind::RateLimited,
            &[11_232, 11_233, 230_020, 232_019, 99_991_400],
        ),
        (FailureKind::QuotaExhausted, &[99_991_403]),
        (
            FailureKind::NotFound,
            &[
                40_015, 41_012, 230_011, 230_019, 230_034, 230_110, 232_006, 232_009, 99_992_351,
                99_992_352, 99_992_353, 99_992_354, 99_992_355, 99_992_356, 99_992_357, 99_992_358,
                99_992_359, 99_992_360, 99_992_361, 99_992_363, 99_992_364, 99_992_379, 99_992_380,
                99_992_381,
            ],
        ),
        (
            FailureKind::Forbidden,
            &[
                40_004, 40_014, 41_050, 230_002, 230_006, 230_009, 230_012, 230_013, 230_018,
                230_026, 230_027, 230_029, 230_031, 230_035, 230_036, 230_038, 230_050, 230_053,
                230_071, 230_072, 230_073, 230_074, 230_075, 231_203, 231_204, 232_010, 232_011,
                232_014, 232_017, 232_024, 232_025, 232_033, 234_002, 234_007, 99_991_401,
                99_991_672, 99_991_676, 99_991_679,
            ],
        ),
        (
            FailureKind::Invalid,
            &[
                9_499, 20_001, 20_036, 20_063, 20_067, 20_068, 20_070, 40_001, 40_008, 40_011,
                40_012, 43_010, 230_001, 230_015, 230_017, 230_025, 230_054, 230_055, 230_099,
                232_001, 232_004, 232_008, 232_043, 234_001, 234_006, 234_010, 234_011, 234_039,
                99_992_402,
            ],
        ),
        (
            FailureKind::Unavailable,
            &[20_050, 20_072, 40_003, 230_049, 232_096],
        ),
    ];

    #[test]
    fn every_code_has_its_kind() {
        // With a status that would say something else.
        for (kind, codes) in TABLE {
            let status = if kind == FailureKind::RateLimited {
                500
            } else {
                429
            };
            for code in codes {
                assert_eq!(kind_of(*code, status), kind, "{code}");
            }
        }
        let known: usize = TABLE.iter().map(|(_, codes)| codes.len()).sum();
        let range = (0..300_000).chain(99_991_000..99_993_000);
        let in_table = range.filter(|code| kind_of(*code, 418) != FailureKind::Rejected);
        assert_eq!(
            in_table.count(),
            known,
            "a code that the list does not have"
        );
    }

    #[test]
    fn an_unknown_code_goes_by_the_status() {
        assert_eq!(kind_of(1, 502), FailureKind::Unavailable);
        assert_eq!(kind_of(1, 429), FailureKind::RateLimited);
        assert_eq!(kind_of(1, 200), FailureKind::Rejected);
    }
}
