//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, parameters, problems};
use lark_service::api_keys::Scope;
use lark_service::lark::contacts::User;
use lark_service::page::Page;

use crate::PAGES;

/// `GET /v1/departments/{id}/users`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let users = Content::answer::<Page<User>>().example(USERS);
    vec![
        Operation::get(
            "/v1/departments/{id}/users",
            "listDepartmentUsers",
            Tag::Departments,
            "The users directly in a department",
        )
        .description(
            "A page of profiles; those of departments below are not among them. A page is fresh for five minutes by default. \
             It may have fewer items than asked for, even none, and another one may follow all the same: `next_page_token` \
             says so.",
        )
        .scope(Scope::UsersRead)
        .parameters(parameters::department())
        .parameters(parameters::page(&PAGES))
        .for_a_tenant()
        .asks_the_platform()
        .answer(Answer::json(200, "The page.", users).from_cache())
        .problem(problems::DEPARTMENT_NOT_FOUND),
    ]
}

const USERS: &str = "
items:
  - { open_id: ou_7d8a6e6df7621556ce0d21922b676706, user_id: e33ggbyz, name: Zhang San }
next_page_token: AQD9/Rn9eij9Pm39ED40/dk53s4Ebp882DYfFaPFbz00L4CMZJrqGdzNyc8BcZtDbwVUvRmQTvyMYicnGWrde9X56TgdBuS+JKiSIkdexPw=";
