use super::*;

const ALL: [ProblemResponse; 29] = [
    RECEIVER_NOT_FOUND,
    DEAD_LETTER_NOT_FOUND,
    MESSAGE_NOT_FOUND,
    MESSAGE_JOB_NOT_FOUND,
    MESSAGE_JOB_PAST,
    IDEMPOTENCY_MISMATCH,
    IDEMPOTENCY_IN_FLIGHT,
    QUEUE_FULL,
    UPLOAD_NOT_FOUND,
    INVALID_ARGUMENT,
    LOGIN_INVALID,
    UNAUTHENTICATED,
    PERMISSION_DENIED,
    APP_DISABLED,
    LOGIN_REFUSED,
    APP_NOT_FOUND,
    USER_NOT_FOUND,
    DEPARTMENT_NOT_FOUND,
    CHAT_NOT_FOUND,
    API_KEY_NOT_FOUND,
    ALREADY_EXISTS,
    REAUTHORIZATION_REQUIRED,
    PAYLOAD_TOO_LARGE,
    RATE_LIMITED,
    INTERNAL,
    REFUSED_BY_LARK,
    UNAVAILABLE,
    STORE_UNAVAILABLE,
    DEADLINE_EXCEEDED,
];

#[test]
fn the_codes_of_an_answer_have_one_status() {
    for response in ALL {
        for code in response.codes {
            assert_eq!(code.status(), response.status(), "{}", response.name);
        }
    }
}

#[test]
fn an_example_has_its_code() {
    for code in ErrorCode::ALL {
        assert_eq!(example(code).code(), code);
    }
}

#[test]
fn every_code_but_the_gateways_is_in_an_answer() {
    for code in ErrorCode::ALL {
        let is_described = ALL.iter().any(|response| response.codes.contains(&code));
        // The API has no operation that answers it: the local host does, where API Gateway would.
        assert_eq!(is_described, code != ErrorCode::RouteNotFound, "{code:?}");
    }
}
