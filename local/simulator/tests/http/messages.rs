//! Messages, as a bot sends, changes and reads them.

mod batch;
mod cards;
mod change;
mod content;
mod faults;
mod history;
mod limits;
mod reactions;
mod reply;
mod send;

use lark_simulator::{Simulator, chat_id, open_id};
use serde_json::{Value, json};

use crate::client::{Answer, app_id, call, post, tenant_token};

pub(crate) const MESSAGES: &str = "/open-apis/im/v1/messages";

/// A bot with its token.
pub(crate) struct Bot<'a> {
    pub(crate) simulator: &'a Simulator,
    pub(crate) token: String,
}

impl<'a> Bot<'a> {
    pub(crate) async fn new(simulator: &'a Simulator) -> Self {
        let token = tenant_token(simulator).await;
        Self { simulator, token }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        post(
            self.simulator,
            &format!("{MESSAGES}{path}"),
            &self.token,
            body,
        )
        .await
    }

    /// Sends a body of this type to a receiver.
    pub(crate) async fn send(
        &self,
        id_type: &str,
        id: &str,
        msg_type: &str,
        content: &str,
    ) -> Answer {
        let body = json!({ "receive_id": id, "msg_type": msg_type, "content": content });
        self.post(&format!("?receive_id_type={id_type}"), &body)
            .await
    }

    /// Sends to chat 1 of the directory.
    pub(crate) async fn say(&self, msg_type: &str, content: &Value) -> Answer {
        let content = content.to_string();
        self.send("chat_id", &chat_id(1), msg_type, &content).await
    }

    /// Sends a text to chat `n`, and returns its message object.
    pub(crate) async fn text(&self, n: u32, text: &str) -> Value {
        let content = json!({ "text": text }).to_string();
        let mut answer = self.send("chat_id", &chat_id(n), "text", &content).await;
        assert_eq!(answer.code(), (200, 0));
        answer.body["data"].take()
    }

    /// Sends a text to user `n`.
    pub(crate) async fn tell(&self, n: u32, text: &str) -> Answer {
        let content = json!({ "text": text }).to_string();
        self.send("open_id", &open_id(&app_id(), n), "text", &content)
            .await
    }

    /// A call about one message.
    pub(crate) async fn about(
        &self,
        method: &str,
        message: &Value,
        end: &str,
        body: &Value,
    ) -> Answer {
        let id = message["message_id"].as_str().unwrap();
        let path = format!("{MESSAGES}/{id}{end}");
        call(
            self.simulator,
            method,
            &path,
            &self.token,
            &body.to_string(),
        )
        .await
    }

    /// The message as it is read back.
    pub(crate) async fn read(&self, message: &Value) -> Value {
        let mut answer = self.about("GET", message, "", &json!({})).await;
        assert_eq!(answer.code(), (200, 0));
        answer.body["data"]["items"][0].take()
    }
}

/// `content` of a message object, which is JSON in a text.
pub(crate) fn content(message: &Value) -> Value {
    let content = message["body"]["content"].as_str().unwrap();
    serde_json::from_str(content).unwrap()
}
