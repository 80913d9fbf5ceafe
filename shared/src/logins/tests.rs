use super::login_request::is_below;
use super::*;
use crate::apps::LoginApp;
use crate::lark::Domain;

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

fn app(login_scopes: &[&str]) -> LoginApp {
    LoginApp {
        app_id: AppId::parse("cli_a").unwrap(),
        domain: Domain::Feishu,
        redirect_targets: vec!["https://portal.example".to_owned()],
        login_scopes: login_scopes.iter().map(|it| (*it).to_owned()).collect(),
    }
}

#[test]
fn offline_access_is_always_asked_for_and_once() {
    let app = app(&["contact:user.base:readonly"]);
    assert_eq!(scope(&app, None).unwrap(), "offline_access");
    assert_eq!(
        scope(&app, Some("offline_access  contact:user.base:readonly")).unwrap(),
        "contact:user.base:readonly offline_access"
    );
}

#[test]
fn a_link_asks_for_nothing_that_the_app_does_not_allow() {
    let many: Vec<_> = (0..50).map(|n| format!("s{n}")).collect();
    let all: Vec<&str> = many.iter().map(String::as_str).collect();
    let too_many = all.join(" ");
    for (allowed, asked) in [
        (&[][..], "contact:user.base:readonly"),
        (&["contact:user.base"], "contact:user.base:readonly"),
        (&["contact:user.base:readonly"], "contact:user.base"),
        (&["im:message"], "im:message im:chat"),
        (&["im:message"], "IM:MESSAGE"),
        (&["*"], "im:message"),
        (&["a"], "a\"b"),
        (&all[..], &too_many),
    ] {
        let refused = scope(&app(allowed), Some(asked));
        let Err(Error::InvalidArgument(errors)) = refused else {
            panic!("{asked} is let through")
        };
        assert_eq!(errors[0].field, "scope", "{asked}");
    }
}

#[test]
fn a_target_is_read_by_every_server_in_the_same_way() {
    let app = app(&[]);
    for right in [
        "https://portal.example/a%20b?x=%C3%A9",
        "https://portal.example?a=b&c=d",
        "https://portal.example/#/done?a=b",
    ] {
        assert!(allowed_target(&app, right).is_ok(), "{right}");
    }
    for wrong in [
        "https://portal.example/a;b",
        "https://portal.example/?x=1;login=ok",
        "https://portal.example/a%00",
        "https://portal.example/a%0d%0aSet-Cookie:x=1",
        "https://portal.example/?a=%0A",
        "https://portal.example/a%1f",
        "https://portal.example/a%7F",
        "https://portal.example/a%",
        "https://portal.example/a%4",
        "https://portal.example/a%zz",
        "https://a@portal.example/",
        "https://portal.example/?login=ok",
        "https://portal.example/?Login=ok",
        "https://portal.example/?a=b&OPEN_ID=ou_1",
        "https://portal.example/#/?login=ok",
        "https://portal.example/#Code=1",
    ] {
        let refused = allowed_target(&app, wrong);
        let Err(Error::InvalidArgument(errors)) = refused else {
            panic!("{wrong} is let through")
        };
        assert_eq!(errors[0].field, "redirect_to", "{wrong}");
    }
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
