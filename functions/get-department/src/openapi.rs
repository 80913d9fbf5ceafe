//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, parameters, problems};
use lark_service::api_keys::Scope;
use lark_service::lark::departments::Department;

/// `GET /v1/departments/{id}`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let department = Content::answer::<Department>().example(DEPARTMENT);
    vec![
        Operation::get(
            "/v1/departments/{id}",
            "getDepartment",
            Tag::Departments,
            "A department by one of its ids",
        )
        .description(
            "As far as the platform shows it to the app. Fresh for an hour by default, kept and served like a profile.",
        )
        .scope(Scope::UsersRead)
        .parameters(parameters::department())
        .for_a_tenant()
        .asks_the_platform()
        .answer(Answer::json(200, "The department.", department).from_cache())
        .problem(problems::DEPARTMENT_NOT_FOUND),
    ]
}

const DEPARTMENT: &str = r#"
name: Sales
i18n_name: { zh_cn: 销售, en_us: Sales }
parent_department_id: "0"
department_id: D096
open_department_id: od-4e6ac4d14bcd5071a37a39de902c7141
leader_user_id: ou_7d8a6e6df7621556ce0d21922b676706
order: "100"
member_count: 7
status: { is_deleted: false }"#;
