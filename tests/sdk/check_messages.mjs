// The unmodified official Node SDK against a platform that is already running:
//
//   NODE_PATH=node_modules node check_messages.mjs BASE_URL APP_ID APP_SECRET OPEN_ID EMAIL
//
// OPEN_ID and EMAIL belong to user 1. Stops at the first mismatch with exit status 1.

import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { createRequire } from "node:module";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { randomUUID } from "node:crypto";

// NODE_PATH counts for `require` only.
const lark = createRequire(import.meta.url)("@larksuiteoapi/node-sdk");

const [domain, appId, appSecret, openId, email] = process.argv.slice(2);
// It would log every refusal that is expected here. Level 0, fatal, counts as no level.
const silent = { fatal() {}, error() {}, warn() {}, info() {}, debug() {}, trace() {} };
const client = new lark.Client({ appId, appSecret, domain, logger: silent });
const { im } = client;

const PNG = Buffer.from("\x89PNG\r\n\x1a\nand some pixels", "latin1");
const NAME = "季度报告 1.pdf";
const card = (content) =>
  JSON.stringify({ config: { update_multi: true }, elements: [{ tag: "markdown", content }] });

/** The `data` of a call that must succeed. */
async function data(call) {
  const { code, msg, data } = await call;
  assert.equal(code, 0, msg);
  return data;
}

/** The body of a call that must fail: the SDK throws for every status but 2xx. */
async function refusal(call) {
  const error = await call.then(
    (answer) => assert.fail(`accepted: ${JSON.stringify(answer)}`),
    (error) => error,
  );
  assert.ok(error.response, String(error));
  return { status: error.response.status, code: error.response.data.code };
}

function create(receive_id, msg_type, content, more = {}, receive_id_type = "chat_id") {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  return im.message.create({ params: { receive_id_type }, data: { receive_id, msg_type, content: text, ...more } });
}

const send = (...message) => data(create(...message));
const about = (message) => ({ path: { message_id: message.message_id } });
const read = async (message) => (await data(im.message.get(about(message)))).items[0];

async function control(address, body) {
  const answer = await fetch(domain + address, { method: "POST", body: JSON.stringify(body) });
  assert.equal(answer.status, 200);
  return answer.json();
}

/** The bytes of a download. */
async function bytes(download) {
  const pieces = [];
  for await (const piece of download.getReadableStream()) pieces.push(piece);
  return Buffer.concat(pieces);
}

const chat = (await data(im.chat.list({ params: { page_size: 1 } }))).items[0].chat_id;

const checks = {
  async "a text with a mention is sent and read"() {
    const sent = await send(chat, "text", { text: `<at user_id="${openId}">Tom</at> 你好` });
    const { body, mentions } = await read(sent);
    assert.deepEqual(JSON.parse(body.content), { text: "@_user_1 你好" });
    assert.deepEqual([mentions[0].id, mentions[0].key], [openId, "@_user_1"]);
  },

  async "a person has one chat by every id"() {
    const byOpenId = await send(openId, "text", { text: "hi" }, {}, "open_id");
    const byEmail = await send(email, "text", { text: "hi" }, {}, "email");
    assert.equal(byEmail.chat_id, byOpenId.chat_id);
  },

  async "a uuid sends once"() {
    const uuid = randomUUID();
    const one = await send(chat, "text", { text: "once" }, { uuid });
    const two = await send(chat, "text", { text: "once" }, { uuid });
    assert.equal(two.message_id, one.message_id);
  },

  async "bad messages have their codes"() {
    for (const [receiver, type, content, code] of [
      ["oc_x", "text", { text: "x" }, 230034],
      [chat, "text", {}, 230001],
      [chat, "interactive", {}, 230099],
      [chat, "image", { image_key: "img_x" }, 230001],
    ]) {
      assert.deepEqual(await refusal(create(receiver, type, content)), { status: 400, code });
    }
  },

  async "replies and forwards are messages"() {
    const sent = await send(chat, "text", { text: "question" });
    const answer = { msg_type: "text", content: '{"text":"answer"}', reply_in_thread: true, uuid: randomUUID() };
    const reply = await data(im.message.reply({ ...about(sent), data: answer }));
    assert.deepEqual([reply.parent_id, reply.root_id], [sent.message_id, sent.message_id]);
    const params = { container_id_type: "thread", container_id: reply.thread_id };
    const thread = await data(im.message.list({ params }));
    assert.deepEqual(thread.items.map((it) => it.message_id), [sent.message_id, reply.message_id]);
    const forward = { params: { receive_id_type: "open_id", uuid: randomUUID() }, data: { receive_id: openId } };
    const forwarded = await data(im.message.forward({ ...about(sent), ...forward }));
    assert.equal(forwarded.body.content, sent.body.content);
  },

  async "a chat is read in order, by the SDK's iterator"() {
    const { chat_id } = await control("/_sim/chats", { name: "Node", add_members: [1] });
    const ids = [];
    for (let n = 0; n < 5; n += 1) ids.push((await send(chat_id, "text", { text: `${n}` })).message_id);
    const params = { container_id_type: "chat", container_id: chat_id, page_size: 2, sort_type: "ByCreateTimeAsc" };
    const found = [];
    for await (const page of await im.message.listWithIterator({ params })) {
      found.push(...page.items.map((it) => it.message_id));
    }
    assert.deepEqual(found, ids);
  },

  async "a text is edited and recalled"() {
    const sent = await send(chat, "text", { text: "old" });
    const edit = { msg_type: "text", content: '{"text":"new"}' };
    const edited = await data(im.message.update({ ...about(sent), data: edit }));
    assert.deepEqual([edited.updated, edited.body.content], [true, edit.content]);
    await data(im.message.delete(about(sent)));
    assert.equal((await read(sent)).deleted, true);
    assert.deepEqual(await refusal(im.message.delete(about(sent))), { status: 400, code: 230011 });
  },

  async "a card is changed"() {
    const sent = await send(chat, "interactive", card("old"));
    await data(im.message.patch({ ...about(sent), data: { content: card("new") } }));
    assert.equal((await read(sent)).body.content, card("new"));
  },

  async "readers are listed"() {
    const sent = await send(chat, "text", { text: "read me" });
    await control(`/_sim/messages/${sent.message_id}/read`, { users: [1, 2] });
    const params = { user_id_type: "open_id", page_size: 1 };
    const readers = await data(im.message.readUsers({ ...about(sent), params }));
    assert.deepEqual([readers.items[0].user_id, readers.has_more], [openId, true]);
  },

  async "reactions are added, listed and removed"() {
    const sent = await send(chat, "text", { text: "well done" });
    const reaction = { reaction_type: { emoji_type: "SMILE" } };
    const { reaction_id } = await data(im.messageReaction.create({ ...about(sent), data: reaction }));
    const { items } = await data(im.messageReaction.list(about(sent)));
    assert.deepEqual([items[0].reaction_id, items[0].operator.operator_id], [reaction_id, appId]);
    await data(im.messageReaction.delete({ path: { message_id: sent.message_id, reaction_id } }));
  },

  async "a message is made urgent"() {
    const sent = await send(openId, "text", { text: "now" }, {}, "open_id");
    const urgent = { params: { user_id_type: "open_id" }, data: { user_id_list: [openId, "ou_x"] } };
    const { invalid_user_id_list } = await data(im.message.urgentApp({ ...about(sent), ...urgent }));
    assert.deepEqual(invalid_user_id_list, ["ou_x"]);
  },

  async "an image goes up into a message and down"() {
    // Uploads return the data alone.
    const { image_key } = await im.image.create({ data: { image_type: "message", image: PNG } });
    const sent = await send(chat, "image", { image_key });
    assert.deepEqual(await bytes(await im.image.get({ path: { image_key } })), PNG);
    const resource = { path: { message_id: sent.message_id, file_key: image_key }, params: { type: "image" } };
    assert.deepEqual(await bytes(await im.messageResource.get(resource)), PNG);
  },

  async "a file goes up as bytes and as a stream"() {
    const folder = await mkdtemp(path.join(tmpdir(), "lark-sdk-"));
    try {
      const content = Buffer.alloc(300_000, "0123456789");
      const original = path.join(folder, "original");
      await writeFile(original, content);
      for (const file of [content, createReadStream(original)]) {
        const upload = { file_type: "pdf", file_name: NAME, file };
        const { file_key } = await im.file.create({ data: upload });
        await send(chat, "file", { file_key });
        const download = await im.file.get({ path: { file_key } });
        assert.ok(download.headers["content-disposition"].endsWith(encodeURIComponent(NAME)));
        const copy = path.join(folder, "copy");
        await download.writeFile(copy);
        assert.deepEqual(await readFile(copy), content);
      }
      const opus = { file_type: "opus", file_name: "a.opus", duration: 3000, file: content };
      const { file_key } = await im.file.create({ data: opus });
      await send(chat, "audio", { file_key });
    } finally {
      await rm(folder, { recursive: true });
    }
  },

  async "a batch is sent, followed and recalled"() {
    const url = "/open-apis/message/v4/batch_send/";
    const batch = { msg_type: "text", content: { text: "all" }, open_ids: [openId, "ou_x"] };
    const sent = await data(client.request({ method: "POST", url, data: batch }));
    assert.deepEqual(sent.invalid_open_ids, ["ou_x"]);
    const about = { path: { batch_message_id: sent.message_id } };
    const progress = await data(im.batchMessage.getProgress(about));
    assert.equal(progress.batch_message_send_progress.valid_user_ids_count, 1);
    const readers = await data(im.batchMessage.readUser(about));
    assert.equal(typeof readers.read_user.total_count, "string");
    await data(im.batchMessage.delete(about));
    const recalled = await data(im.batchMessage.getProgress(about));
    assert.equal(recalled.batch_message_recall_progress.recall, true);
    const { code } = await client.request({ method: "POST", url, data: { msg_type: "text" } });
    assert.equal(code, 10002);
  },
};

let passed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
  } catch (error) {
    console.error(`${name}: ${error.stack ?? error}`);
    console.error(`${passed} passed, 1 failed`);
    process.exit(1);
  }
  passed += 1;
}
console.log(`${passed} passed, 0 failed`);
