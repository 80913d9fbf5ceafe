use lambda_http::Body;
use lambda_http::http::Request as HttpRequest;

use super::*;

fn request(id: &str) -> Request {
    HttpRequest::builder()
        .header(REQUEST_ID, id)
        .body(Body::Empty)
        .unwrap()
}

#[test]
fn a_well_formed_request_id_is_kept_and_a_bad_one_replaced() {
    assert_eq!(Call::new(&request("build-42")).request_id(), "build-42");
    for bad in ["", "a b", "x\"y", &"x".repeat(129)] {
        assert_eq!(Call::new(&request(bad)).request_id().len(), 32, "{bad}");
    }
}

#[test]
fn the_deadline_leaves_time_to_answer_and_is_the_gateways_at_most() {
    let left = |invocation: Option<Duration>| {
        let mut context = lambda_http::Context::default();
        if let Some(left) = invocation {
            let ends = SystemClock.now() + left;
            context.deadline = u64::try_from(ends.as_millis()).unwrap();
        }
        let request = request("r").with_lambda_context(context);
        Call::new(&request).deadline().remaining()
    };
    let second = Duration::from_secs(1);
    for (invocation, expected) in [
        (Some(10 * second), 10 * second - RESERVE),
        (Some(3_600 * second), GATEWAY_PATIENCE),
        (None, GATEWAY_PATIENCE),
        (Some(RESERVE), Duration::ZERO),
    ] {
        let left = left(invocation);
        assert!(left <= expected && left + second > expected, "{left:?}");
    }
}

#[test]
fn an_unknown_or_repeated_query_parameter_is_named() {
    let query = [
        ("id_type".to_owned(), vec!["a".to_owned(), "b".to_owned()]),
        ("x".to_owned(), vec!["1".to_owned()]),
    ];
    let request = request("r").with_query_string_parameters(std::collections::HashMap::from(query));
    let call = Call::new(&request);
    assert_eq!(
        call.query("id_type").unwrap_err().to_string(),
        "must be given once"
    );
    let Err(Error::InvalidArgument(errors)) = call.only_query(&["id_type"]) else {
        panic!("must be refused")
    };
    assert_eq!(errors[0].field, "x");
}
