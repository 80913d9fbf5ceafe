"""Departments, their members and group chats, through the SDK's typed models."""

import json

import lark_oapi as lark
from lark_oapi.api.contact.v3 import (
    BasicBatchUserRequest,
    BasicBatchUserRequestBody,
    BatchDepartmentRequest,
    ChildrenDepartmentRequest,
    FindByDepartmentUserRequest,
    GetDepartmentRequest,
    ListScopeRequest,
    ParentDepartmentRequest,
)
from lark_oapi.api.im.v1 import (
    GetChatMembersRequest,
    GetChatRequest,
    IsInChatChatMembersRequest,
    ListChatRequest,
    SearchChatRequest,
)

from sdk_client import Mismatch, client_for, controlled, expect, expect_success

UNKNOWN_DEPARTMENT = "od-" + "0" * 32
UNKNOWN_CHAT = "oc_" + "0" * 32


def pages(what, call, builder, page_size):
    """Every item of a list, and the last page."""
    items, page_token = [], None
    while True:
        asked = builder().page_size(page_size)
        if page_token:
            asked.page_token(page_token)
        response = call(asked.build())
        expect_success(what, response)
        data = response.data
        expect(f"{what}: more, token", data.has_more, bool(data.page_token))
        if data.has_more:
            expect(f"{what}: items of a full page", len(data.items), page_size)
        items += data.items
        if not data.has_more:
            return items, data
        page_token = data.page_token


def children(arguments, department_id, is_deep, page_size=50):
    def builder():
        return ChildrenDepartmentRequest.builder().department_id(department_id).fetch_child(is_deep)

    call = client_for(arguments).contact.v3.department.children
    return pages("children", call, builder, page_size)[0]


def members(arguments, department_id, page_size=7):
    def builder():
        return FindByDepartmentUserRequest.builder().department_id(department_id)

    call = client_for(arguments).contact.v3.user.find_by_department
    return pages("find_by_department", call, builder, page_size)[0]


def get_department(arguments, department_id, id_type="open_department_id"):
    request = GetDepartmentRequest.builder().department_id(department_id).department_id_type(id_type).build()
    response = client_for(arguments).contact.v3.department.get(request)
    expect_success(f"get department {department_id}", response)
    return response.data.department


def chats(arguments):
    call = client_for(arguments).im.v1.chat.list
    return pages("list chats", call, ListChatRequest.builder, 30)[0]


def a_department_is_found_by_either_id(arguments):
    root = get_department(arguments, "0")
    expect("type of member_count", type(root.member_count), int)
    expect("type of status", type(root.status).__name__, "DepartmentStatus")
    first = children(arguments, "0", False)[0]
    by_own_id = get_department(arguments, first.department_id, "department_id")
    expect("open_department_id", by_own_id.open_department_id, first.open_department_id)
    expect("parent", by_own_id.parent_department_id, "0")
    expect("names", (by_own_id.name, by_own_id.i18n_name.en_us), (first.name, first.name))
    if not by_own_id.leader_user_id.startswith("ou_") or type(by_own_id.leaders[0]).__name__ != "DepartmentLeader":
        raise Mismatch(f"leader: {lark.JSON.marshal(by_own_id)}")


def departments_are_listed_below_and_above_each_other(arguments):
    top = [it.open_department_id for it in children(arguments, "0", False, 3)]
    everything = children(arguments, "0", True)
    if not set(top) < {it.open_department_id for it in everything}:
        raise Mismatch("departments at any depth: those at the top are missing, or nothing is below them")
    low = next(it for it in everything if it.parent_department_id != "0")
    request = ParentDepartmentRequest.builder().department_id(low.open_department_id).build()
    response = client_for(arguments).contact.v3.department.parent(request)
    expect_success("parents", response)
    expect("parents", [it.open_department_id for it in response.data.items], [low.parent_department_id])


def a_batch_leaves_out_unknown_departments(arguments):
    known = [it.open_department_id for it in children(arguments, "0", False)[:2]]
    request = BatchDepartmentRequest.builder().department_ids([*known, UNKNOWN_DEPARTMENT]).build()
    response = client_for(arguments).contact.v3.department.batch(request)
    expect_success("batch departments", response)
    expect("departments", [it.open_department_id for it in response.data.items], known)


def a_department_is_read_to_its_last_member(arguments):
    everything = children(arguments, "0", True)
    leaf = everything[-1]
    found = members(arguments, leaf.open_department_id)
    expect("members", len({user.open_id for user in found}), leaf.member_count)
    expect("type of a member's status", type(found[0].status).__name__, "UserStatus")
    expect("departments", {it for user in found for it in user.department_ids}, {leaf.open_department_id})
    new = controlled(arguments, "/_sim/users", {"department": int(leaf.department_id[4:])})["n"]
    counted = get_department(arguments, leaf.open_department_id).member_count
    expect("members with a new one", (counted, len(members(arguments, leaf.open_department_id))), (len(found) + 1,) * 2)
    controlled(arguments, f"/_sim/users/{new}", method="DELETE")
    expect("members without", len(members(arguments, leaf.open_department_id)), len(found))


def the_contact_scope_is_the_whole_company(arguments):
    response = client_for(arguments).contact.v3.scope.list(ListScopeRequest.builder().build())
    expect_success("scopes", response)
    top = [it.open_department_id for it in children(arguments, "0", False)]
    expect("departments", response.data.department_ids, top)


def names_are_told_in_a_basic_batch(arguments):
    body = BasicBatchUserRequestBody.builder().user_ids([arguments.open_id]).build()
    request = BasicBatchUserRequest.builder().user_id_type("open_id").request_body(body).build()
    response = client_for(arguments).contact.v3.user.basic_batch(request)
    expect_success("basic_batch", response)
    user = response.data.users[0]
    expect("user_id", user.user_id, arguments.open_id)
    expect("name", user.i18n_name.zh_cn, user.name)


def chats_are_listed_searched_and_shown(arguments):
    client = client_for(arguments)
    first = chats(arguments)[0]
    expect("type of a chat", type(first).__name__, "ListChat")
    request = SearchChatRequest.builder().query(first.name).build()
    response = client.im.v1.chat.search(request)
    expect_success("search chats", response)
    if first.chat_id not in [it.chat_id for it in response.data.items]:
        raise Mismatch(f"{first.name} was not found")
    response = client.im.v1.chat.get(GetChatRequest.builder().chat_id(first.chat_id).build())
    expect_success("get chat", response)
    shown = response.data
    expect("chat", (shown.name, shown.owner_id, shown.chat_mode), (first.name, first.owner_id, "group"))
    expect("types of counts", (type(shown.user_count), type(shown.bot_count)), (str, str))
    response = client.im.v1.chat_members.is_in_chat(IsInChatChatMembersRequest.builder().chat_id(first.chat_id).build())
    expect_success("is in chat", response)
    expect("is in chat", response.data.is_in_chat, True)


def a_chat_is_read_to_its_last_member(arguments):
    chat = chats(arguments)[0]

    def builder():
        return GetChatMembersRequest.builder().chat_id(chat.chat_id).member_id_type("open_id")

    call = client_for(arguments).im.v1.chat_members.get
    found, last = pages("chat members", call, builder, 100)
    expect("members", len({member.member_id for member in found}), last.member_total)
    expect("type of a member", type(found[0]).__name__, "ListMember")
    expect("type of the id", found[0].member_id_type, "open_id")


def unknown_departments_and_chats_are_errors(arguments):
    client = client_for(arguments)
    request = GetDepartmentRequest.builder().department_id(UNKNOWN_DEPARTMENT).build()
    expect("code of a department", client.contact.v3.department.get(request).code, 99992357)
    request = GetChatRequest.builder().chat_id(UNKNOWN_CHAT).build()
    response = client.im.v1.chat.get(request)
    expect("code of a chat", (response.code, response.raw.status_code), (232006, 400))
    request = ListChatRequest.builder().page_token("x").build()
    expect("code of a page token", client.im.v1.chat.list(request).code, 232001)
    request = FindByDepartmentUserRequest.builder().department_id("0").page_size(51).build()
    expect("code of a page size", client.contact.v3.user.find_by_department(request).code, 40011)


def a_missing_scope_is_named(arguments):
    path = f"/_sim/apps/{arguments.app_id}"
    controlled(arguments, path, {"granted_scopes": ["im:chat:readonly"]}, "PATCH")
    try:
        client = client_for(arguments)
        expect_success("list chats", client.im.v1.chat.list(ListChatRequest.builder().build()))
        response = client.contact.v3.department.get(GetDepartmentRequest.builder().department_id("0").build())
    finally:
        controlled(arguments, path, {"granted_scopes": None}, "PATCH")
    expect("code", (response.code, response.raw.status_code), (99991672, 400))
    violations = json.loads(response.raw.content)["error"]["permission_violations"]
    subjects = [it["subject"] for it in violations]
    if "contact:contact.base:readonly" not in subjects:
        raise Mismatch(f"scopes that would do: {subjects}")


def a_narrow_contact_scope_hides_the_rest(arguments):
    path = f"/_sim/apps/{arguments.app_id}"
    top = children(arguments, "0", False)
    controlled(arguments, path, {"contact_departments": [2]}, "PATCH")
    try:
        client = client_for(arguments)
        scopes = client.contact.v3.scope.list(ListScopeRequest.builder().build())
        request = ChildrenDepartmentRequest.builder().department_id("0").build()
        refused = client.contact.v3.department.children(request)
    finally:
        controlled(arguments, path, {"contact_departments": None}, "PATCH")
    expect_success("scopes", scopes)
    expect("departments", scopes.data.department_ids, [top[1].open_department_id])
    expect("the root", (refused.code, refused.raw.status_code), (40004, 403))


CHECKS = (
    a_department_is_found_by_either_id,
    departments_are_listed_below_and_above_each_other,
    a_batch_leaves_out_unknown_departments,
    a_department_is_read_to_its_last_member,
    the_contact_scope_is_the_whole_company,
    names_are_told_in_a_basic_batch,
    chats_are_listed_searched_and_shown,
    a_chat_is_read_to_its_last_member,
    unknown_departments_and_chats_are_errors,
    a_missing_scope_is_named,
    a_narrow_contact_scope_hides_the_rest,
)
