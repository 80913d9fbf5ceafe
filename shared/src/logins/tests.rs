use super::login_request::is_below;
use super::*;

fn below(url: &str, allowed: &str) -> bool {
    is_below(&Url::parse(url).unwrap(), &Url::parse(allowed).unwrap())
}

#[test]
fn a_target_is_allowed_with_everything_below_it_and_nothing_beside_it() {
    let allowed = "https://portal.example/done";
    for right in [
        "https://portal.example/done",
        "https://portal.example:443/done/?a=b",
        "https://portal.example/done/deep#x",
    ] {
        assert!(below(right, allowed), "{right}");
    }
    for wrong in [
        "http://portal.example/done",
        "https://portal.example:8443/done",
        "https://portal.example.evil.example/done",
        "https://evil.example/done",
        "https://portal.example/donee",
        "https://portal.example/",
        "https://portal.example/done/../other",
        "https://portal.example/done/%2e%2e/other",
        "https://portal.example\\.evil.example/done",
        "https://portal.example/done/..%2fother",
        "https://portal.example/done/%2E%2e%5Cother",
        "https://portal.example/done/..;/other",
        "https://portal.example/done/%252e%252e%252fother",
    ] {
        assert!(!below(wrong, allowed), "{wrong}");
    }
    assert!(below(
        "https://portal.example/any%2fwhere",
        "https://portal.example"
    ));
}

#[test]
fn offline_access_is_always_asked_for_and_once() {
    assert_eq!(scope(None).unwrap(), "offline_access");
    assert_eq!(
        scope(Some("offline_access  contact:user.base:readonly")).unwrap(),
        "contact:user.base:readonly offline_access"
    );
    assert!(scope(Some("a\"b")).is_err());
    let many: Vec<_> = (0..50).map(|n| format!("s{n}")).collect();
    assert!(scope(Some(&many.join(" "))).is_err());
}

#[test]
fn over_https_the_cookie_is_bound_to_the_host() {
    let secure = Url::parse("https://api.example").unwrap();
    let cookie = set_cookie(&secure, "abc", "v", LIFE);
    assert_eq!(
        cookie,
        "__Host-lark-login-abc=v; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
    );
    let local = Url::parse("http://127.0.0.1:9000").unwrap();
    assert!(!set_cookie(&local, "abc", "v", LIFE).contains("Secure"));
}
