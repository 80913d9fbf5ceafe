//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Parameter, Tag, problems};
use lark_service::api_keys::Scope;
use lark_service::lark::contacts::User;
use lark_service::schema::{Email, Mobile};

/// `GET /v1/users`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/v1/users",
            "findUser",
            Tag::Users,
            "A user by e-mail address or mobile number",
        )
        .description(
            "The profile of who has the address, as with `GET /v1/users/{id}`. Give exactly one of the two parameters. An \
             address that nobody has is remembered as such for a minute.",
        )
        .scope(Scope::UsersRead)
        .parameter(
            Parameter::query(
                "email",
                "The user's e-mail address; upper and lower case are the same.",
            )
            .of::<Email>()
            .example("zhangsan@example.com"),
        )
        .parameter(
            Parameter::query(
                "mobile",
                "The user's mobile number with its country code; without `+` it is a Chinese one. Spaces and hyphens do not \
                 count. In a URL, `+` is written `%2B`.",
            )
            .of::<Mobile>(),
        )
        .for_a_tenant()
        .asks_the_platform()
        .answer(
            Answer::json(200, "The profile.", Content::answer::<User>().example(USER)).from_cache(),
        )
        .problem(problems::USER_NOT_FOUND),
    ]
}

const USER: &str = "
open_id: ou_7d8a6e6df7621556ce0d21922b676706
union_id: on_8ed6aa67826108097d9ee143816345
user_id: e33ggbyz
name: Zhang San
email: zhangsan@example.com
department_ids: [od-4e6ac4d14bcd5071a37a39de902c7141]";
