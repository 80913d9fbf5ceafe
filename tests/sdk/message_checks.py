"""Messages, files and batch messages, through the SDK's typed models; the batch is sent by a raw request."""

import io
import json
import secrets

import lark_oapi as lark
from lark_oapi.api.im.v1 import (
    CreateFileRequest,
    CreateFileRequestBody,
    CreateImageRequest,
    CreateImageRequestBody,
    CreateMessageReactionRequest,
    CreateMessageReactionRequestBody,
    CreateMessageRequest,
    CreateMessageRequestBody,
    DeleteBatchMessageRequest,
    DeleteMessageReactionRequest,
    DeleteMessageRequest,
    Emoji,
    ForwardMessageRequest,
    ForwardMessageRequestBody,
    GetFileRequest,
    GetImageRequest,
    GetMessageRequest,
    GetMessageResourceRequest,
    GetProgressBatchMessageRequest,
    ListChatRequest,
    ListMessageReactionRequest,
    ListMessageRequest,
    PatchMessageRequest,
    PatchMessageRequestBody,
    ReadUserBatchMessageRequest,
    ReadUsersMessageRequest,
    ReplyMessageRequest,
    ReplyMessageRequestBody,
    UpdateMessageRequest,
    UpdateMessageRequestBody,
    UrgentAppMessageRequest,
    UrgentReceivers,
)

from sdk_client import client_for, controlled, expect, expect_success

PNG = b"\x89PNG\r\n\x1a\nand some pixels"
NAME = "季度报告 1.pdf"


def first_chat(client):
    response = client.im.v1.chat.list(ListChatRequest.builder().page_size(1).build())
    expect_success("list chats", response)
    return response.data.items[0].chat_id


def send(client, receive_id, msg_type, content, id_type="chat_id", uuid=None):
    body = CreateMessageRequestBody.builder().receive_id(receive_id).msg_type(msg_type).content(json.dumps(content))
    if uuid:
        body.uuid(uuid)
    request = CreateMessageRequest.builder().receive_id_type(id_type).request_body(body.build()).build()
    return client.im.v1.message.create(request)


def sent(client, receive_id, msg_type, content, id_type="chat_id"):
    response = send(client, receive_id, msg_type, content, id_type)
    expect_success(f"send {msg_type}", response)
    return response.data


def get(client, message_id):
    response = client.im.v1.message.get(GetMessageRequest.builder().message_id(message_id).build())
    expect_success("get message", response)
    expect("messages", len(response.data.items), 1)
    return response.data.items[0]


def card(text):
    return {"config": {"update_multi": True}, "elements": [{"tag": "markdown", "content": text}]}


def a_text_with_a_mention_is_sent_and_read(arguments):
    client = client_for(arguments)
    text = {"text": f'<at user_id="{arguments.open_id}">Tom</at> 你好'}
    message = sent(client, first_chat(client), "text", text)
    expect("types of times", (type(message.create_time), type(message.sender).__name__), (str, "Sender"))
    read = get(client, message.message_id)
    expect("content", json.loads(read.body.content), {"text": "@_user_1 你好"})
    expect("mention", (read.mentions[0].id, read.mentions[0].key), (arguments.open_id, "@_user_1"))


def a_person_has_one_chat_by_every_id(arguments):
    client = client_for(arguments)
    by_open_id = sent(client, arguments.open_id, "text", {"text": "hi"}, "open_id")
    by_email = sent(client, arguments.email, "text", {"text": "hi"}, "email")
    expect("chat", by_email.chat_id, by_open_id.chat_id)


def a_uuid_sends_once(arguments):
    client = client_for(arguments)
    chat_id, uuid = first_chat(client), secrets.token_hex(16)
    ids = {send(client, chat_id, "text", {"text": "once"}, uuid=uuid).data.message_id for _ in range(3)}
    expect("messages", len(ids), 1)


def bad_messages_have_their_codes(arguments):
    client = client_for(arguments)
    chat_id = first_chat(client)
    for receiver, msg_type, content, code in (
        ("oc_x", "text", {"text": "x"}, 230034),
        (chat_id, "text", {}, 230001),
        (chat_id, "text", {"text": "x" * 160_000}, 230025),
        (chat_id, "interactive", {}, 230099),
        (chat_id, "image", {"image_key": "img_x"}, 230001),
    ):
        response = send(client, receiver, msg_type, content)
        expect(f"{msg_type} {code}", (response.code, response.raw.status_code), (code, 400))


def replies_and_forwards_are_messages(arguments):
    client = client_for(arguments)
    chat_id = first_chat(client)
    message = sent(client, chat_id, "text", {"text": "question"})
    body = ReplyMessageRequestBody.builder().msg_type("text").content('{"text": "answer"}').reply_in_thread(True)
    request = ReplyMessageRequest.builder().message_id(message.message_id)
    response = client.im.v1.message.reply(request.request_body(body.uuid(secrets.token_hex(8)).build()).build())
    expect_success("reply", response)
    expect("parent", (response.data.parent_id, response.data.root_id), (message.message_id, message.message_id))
    thread = list_messages(client, "thread", response.data.thread_id)
    expect("thread", [it.message_id for it in thread], [message.message_id, response.data.message_id])
    body = ForwardMessageRequestBody.builder().receive_id(arguments.open_id).build()
    request = ForwardMessageRequest.builder().message_id(message.message_id).receive_id_type("open_id")
    response = client.im.v1.message.forward(request.uuid(secrets.token_hex(8)).request_body(body).build())
    expect_success("forward", response)
    expect("content", response.data.body.content, message.body.content)


def list_messages(client, container_type, container_id):
    """All of them, oldest first."""
    items, page_token = [], None
    while True:
        request = ListMessageRequest.builder().container_id_type(container_type).container_id(container_id).page_size(2)
        if page_token:
            request.page_token(page_token)
        response = client.im.v1.message.list(request.sort_type("ByCreateTimeAsc").build())
        expect_success("list messages", response)
        items += response.data.items
        if not response.data.has_more:
            return items
        page_token = response.data.page_token


def a_chat_is_read_in_order(arguments):
    client = client_for(arguments)
    new = controlled(arguments, "/_sim/chats", {"name": "SDK", "add_members": [1]})["chat_id"]
    ids = [sent(client, new, "text", {"text": str(n)}).message_id for n in range(5)]
    expect("history", [it.message_id for it in list_messages(client, "chat", new)], ids)


def a_text_is_edited_and_recalled(arguments):
    client = client_for(arguments)
    message = sent(client, first_chat(client), "text", {"text": "old"})
    body = UpdateMessageRequestBody.builder().msg_type("text").content('{"text": "new"}').build()
    request = UpdateMessageRequest.builder().message_id(message.message_id).request_body(body).build()
    response = client.im.v1.message.update(request)
    expect_success("update", response)
    expect("updated", (response.data.updated, response.data.body.content), (True, '{"text":"new"}'))
    recall = DeleteMessageRequest.builder().message_id(message.message_id).build()
    expect_success("recall", client.im.v1.message.delete(recall))
    expect("recalled", get(client, message.message_id).deleted, True)
    expect("recalled again", client.im.v1.message.delete(recall).code, 230011)


def a_card_is_changed(arguments):
    client = client_for(arguments)
    message = sent(client, first_chat(client), "interactive", card("old"))
    body = PatchMessageRequestBody.builder().content(json.dumps(card("new"))).build()
    request = PatchMessageRequest.builder().message_id(message.message_id).request_body(body).build()
    expect_success("patch", client.im.v1.message.patch(request))
    expect("card", json.loads(get(client, message.message_id).body.content), card("new"))


def readers_are_listed(arguments):
    client = client_for(arguments)
    message = sent(client, first_chat(client), "text", {"text": "read me"})
    controlled(arguments, f"/_sim/messages/{message.message_id}/read", {"users": [1, 2]})
    request = ReadUsersMessageRequest.builder().message_id(message.message_id).user_id_type("open_id").page_size(1)
    response = client.im.v1.message.read_users(request.build())
    expect_success("read_users", response)
    expect("reader", (response.data.items[0].user_id, response.data.has_more), (arguments.open_id, True))


def reactions_are_added_listed_and_removed(arguments):
    client = client_for(arguments)
    message = sent(client, first_chat(client), "text", {"text": "well done"})
    body = CreateMessageReactionRequestBody.builder().reaction_type(Emoji.builder().emoji_type("SMILE").build())
    request = CreateMessageReactionRequest.builder().message_id(message.message_id).request_body(body.build())
    response = client.im.v1.message_reaction.create(request.build())
    expect_success("react", response)
    reaction_id = response.data.reaction_id
    request = ListMessageReactionRequest.builder().message_id(message.message_id).reaction_type("SMILE").page_size(50)
    response = client.im.v1.message_reaction.list(request.build())
    expect_success("reactions", response)
    item = response.data.items[0]
    expect("reaction", (item.reaction_id, item.operator.operator_id), (reaction_id, arguments.app_id))
    request = DeleteMessageReactionRequest.builder().message_id(message.message_id).reaction_id(reaction_id).build()
    expect_success("remove a reaction", client.im.v1.message_reaction.delete(request))


def a_message_is_made_urgent(arguments):
    client = client_for(arguments)
    message = sent(client, arguments.open_id, "text", {"text": "now"}, "open_id")
    body = UrgentReceivers.builder().user_id_list([arguments.open_id, "ou_x"]).build()
    request = UrgentAppMessageRequest.builder().message_id(message.message_id).user_id_type("open_id").request_body(body)
    response = client.im.v1.message.urgent_app(request.build())
    expect_success("urgent", response)
    expect("invalid", response.data.invalid_user_id_list, ["ou_x"])


def an_image_goes_up_into_a_message_and_down(arguments):
    client = client_for(arguments)
    body = CreateImageRequestBody.builder().image_type("message").image(io.BytesIO(PNG)).build()
    response = client.im.v1.image.create(CreateImageRequest.builder().request_body(body).build())
    expect_success("upload image", response)
    key = response.data.image_key
    message = sent(client, first_chat(client), "image", {"image_key": key})
    response = client.im.v1.image.get(GetImageRequest.builder().image_key(key).build())
    expect("image", (response.code, response.file.read()), (0, PNG))
    request = GetMessageResourceRequest.builder().message_id(message.message_id).file_key(key).type("image")
    response = client.im.v1.message_resource.get(request.build())
    expect("resource", (response.code, response.file.read()), (0, PNG))


def a_file_keeps_its_name(arguments):
    client = client_for(arguments)
    content = bytes(range(256)) * 1000
    body = CreateFileRequestBody.builder().file_type("pdf").file_name(NAME).file(io.BytesIO(content)).build()
    response = client.im.v1.file.create(CreateFileRequest.builder().request_body(body).build())
    expect_success("upload file", response)
    key = response.data.file_key
    sent(client, first_chat(client), "file", {"file_key": key})
    response = client.im.v1.file.get(GetFileRequest.builder().file_key(key).build())
    expect("file", (response.code, response.file_name, response.file.read()), (0, NAME, content))
    body = CreateFileRequestBody.builder().file_type("pdf").file_name(NAME).file(io.BytesIO(b"")).build()
    response = client.im.v1.file.create(CreateFileRequest.builder().request_body(body).build())
    expect("an empty file", (response.code, response.raw.status_code), (234010, 400))


def a_batch_is_sent_followed_and_recalled(arguments):
    client = client_for(arguments)
    for path in ("/open-apis/message/v4/batch_send/", "/open-apis/message/v4/batch_send"):
        request = lark.BaseRequest.builder().http_method(lark.HttpMethod.POST).uri(path)
        request.token_types({lark.AccessTokenType.TENANT})
        body = {"msg_type": "text", "content": {"text": "all"}, "open_ids": [arguments.open_id, "ou_x"]}
        response = client.request(request.body(body).build())
        expect_success("batch_send", response)
        data = json.loads(response.raw.content)["data"]
        expect("invalid", data["invalid_open_ids"], ["ou_x"])
    batch_id = data["message_id"]
    request = GetProgressBatchMessageRequest.builder().batch_message_id(batch_id).build()
    response = client.im.v1.batch_message.get_progress(request)
    expect_success("get_progress", response)
    expect("receivers", response.data.batch_message_send_progress.valid_user_ids_count, 1)
    request = ReadUserBatchMessageRequest.builder().batch_message_id(batch_id).build()
    response = client.im.v1.batch_message.read_user(request)
    expect_success("read_user", response)
    expect("type of the count", type(response.data.read_user.total_count), str)
    request = DeleteBatchMessageRequest.builder().batch_message_id(batch_id).build()
    expect_success("recall of a batch", client.im.v1.batch_message.delete(request))
    response = client.im.v1.batch_message.get_progress(GetProgressBatchMessageRequest.builder().batch_message_id(batch_id).build())
    expect("recalled", response.data.batch_message_recall_progress.recall, True)


CHECKS = (
    a_text_with_a_mention_is_sent_and_read,
    a_person_has_one_chat_by_every_id,
    a_uuid_sends_once,
    bad_messages_have_their_codes,
    replies_and_forwards_are_messages,
    a_chat_is_read_in_order,
    a_text_is_edited_and_recalled,
    a_card_is_changed,
    readers_are_listed,
    reactions_are_added_listed_and_removed,
    a_message_is_made_urgent,
    an_image_goes_up_into_a_message_and_down,
    a_file_keeps_its_name,
    a_batch_is_sent_followed_and_recalled,
)
