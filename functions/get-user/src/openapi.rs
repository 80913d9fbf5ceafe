//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Parameter, Tag, problems};
use lark_service::api_keys::Scope;
use lark_service::lark::contacts::{User, UserId, UserIdKind};

/// `GET /v1/users/{id}`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/v1/users/{id}",
            "getUser",
            Tag::Users,
            "A user by one of their ids",
        )
        .description(
            "The profile, as far as the platform shows it to the app. Fresh for the time the installation is set to (an hour \
             by default); when the platform fails, a profile of up to a day ago is answered and `Cache-Status` says so. An \
             id that the platform does not know is remembered as unknown for a minute.",
        )
        .scope(Scope::UsersRead)
        .parameter(
            Parameter::path(
                "id",
                "The id, in the form of its `id_type`: an `open_id` begins with `ou_`, a `union_id` with `on_`; a `user_id` \
                 has no fixed beginning. Any other id is refused with `invalid_argument`, and so is one of dots alone.",
            )
            .of::<UserId>()
            .example("ou_7d8a6e6df7621556ce0d21922b676706"),
        )
        .parameter(
            Parameter::query("id_type", "Which of the user's ids it is.")
                .of::<UserIdKind>()
                .default(UserIdKind::OpenId.as_str())
                .example("open_id"),
        )
        .for_a_tenant()
        .asks_the_platform()
        .answer(
            Answer::json(200, "The profile.", Content::answer::<User>().example(USER)).from_cache(),
        )
        .problem(problems::USER_NOT_FOUND),
    ]
}

const USER: &str = r#"
open_id: ou_7d8a6e6df7621556ce0d21922b676706
union_id: on_8ed6aa67826108097d9ee143816345
user_id: e33ggbyz
name: Zhang San
en_name: San Zhang
email: zhangsan@example.com
avatar: { avatar_72: "https://example.com/72.png" }
status: { is_frozen: false, is_resigned: false, is_activated: true, is_exited: false, is_unjoin: false }
department_ids: [od-4e6ac4d14bcd5071a37a39de902c7141]
employee_type: 1
job_title: Engineer"#;
