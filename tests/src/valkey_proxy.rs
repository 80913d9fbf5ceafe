//! A proxy in front of a Valkey that does to commands what their [`Traffic`] says. A connection carries its answers in the
//! order of the commands, so what happens to one answer happens to all that follow it.

use std::sync::{Arc, Mutex};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::door::Door;
use crate::traffic::{Fate, Hold, Traffic};

/// A proxy in front of `server`, `host:port`.
pub async fn valkey_proxy(server: &str, traffic: Traffic) -> Door {
    let server: Arc<str> = Arc::from(server);
    Door::open_with(move |client| serve(client, Arc::clone(&server), traffic.clone())).await
}

/// What happens to the next bytes from the server, and to all after them.
#[derive(Clone, Debug)]
enum Answers {
    Close,
    Hang,
    Hold(Hold),
}

type NextAnswers = Arc<Mutex<Option<Answers>>>;

/// Ends when either side closes the connection.
async fn serve(client: TcpStream, server: Arc<str>, traffic: Traffic) {
    let Ok(upstream) = TcpStream::connect(&*server).await else {
        return;
    };
    let _ = upstream.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = upstream.into_split();
    let next = NextAnswers::default();
    tokio::select! {
        _ = commands(from_client, to_server, &traffic, &next) => {}
        _ = answers(from_server, to_client, &next) => {}
    }
}

async fn commands(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    traffic: &Traffic,
    next: &NextAnswers,
) -> std::io::Result<()> {
    let mut read = BytesMut::new();
    loop {
        while let Some(command) = Command::split_from(&mut read) {
            let answers = match traffic.fate(command.name) {
                Fate::Forward => None,
                Fate::Delay(length) => {
                    tokio::time::sleep(length).await;
                    None
                }
                Fate::LoseAnswer => Some(Answers::Close),
                Fate::Refuse | Fate::Throttle => return Ok(()),
                Fate::Hang => std::future::pending().await,
                Fate::HangAnswer => Some(Answers::Hang),
                Fate::Hold(hold) => {
                    if !hold.may_forward().await {
                        return Ok(());
                    }
                    Some(Answers::Hold(hold))
                }
            };
            if answers.is_some() {
                *next.lock().expect("no panic while holding it") = answers;
            }
            server.write_all(&command.bytes).await?;
        }
        if client.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
    }
}

async fn answers(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    next: &NextAnswers,
) -> std::io::Result<()> {
    let mut read = BytesMut::new();
    loop {
        if server.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
        let now = next.lock().expect("no panic while holding it").take();
        let is_passed_on = match now {
            None => true,
            Some(Answers::Close) => false,
            Some(Answers::Hang) => std::future::pending().await,
            Some(Answers::Hold(hold)) => hold.may_answer().await,
        };
        if !is_passed_on {
            return Ok(());
        }
        client.write_all_buf(&mut read).await?;
    }
}

/// A command as it was sent, and its name in the traffic: `cache`, the command, its first key.
struct Command {
    bytes: Bytes,
    name: String,
}

impl Command {
    /// Takes a whole command off the front of `read`: an array of strings, as every client sends it.
    fn split_from(read: &mut BytesMut) -> Option<Self> {
        let mut rest = Cursor(&read[..]);
        let words = (0..rest.number(b'*')?)
            .map(|_| {
                let length = rest.number(b'$')?;
                rest.take(length)
            })
            .collect::<Option<Vec<_>>>()?;
        let name = named(&words);
        let length = read.len() - rest.0.len();
        Some(Self {
            name,
            bytes: read.split_to(length).freeze(),
        })
    }
}

fn named(words: &[&[u8]]) -> String {
    let word = |at: usize| {
        let word = words.get(at).copied().unwrap_or_default();
        String::from_utf8_lossy(word)
    };
    let command = word(0).to_uppercase();
    // The keys of a script follow the script and their number.
    let first_key = match command.as_str() {
        "EVAL" | "EVALSHA" | "FCALL" => 3,
        _ => 1,
    };
    format!("cache {command} {}", word(first_key))
}

/// What is left to read.
struct Cursor<'b>(&'b [u8]);

impl<'b> Cursor<'b> {
    /// The number of a line that begins with `mark`.
    fn number(&mut self, mark: u8) -> Option<usize> {
        let end = self.0.windows(2).position(|pair| pair == b"\r\n")?;
        let line = self.0[..end].strip_prefix(&[mark])?;
        self.0.advance(end + 2);
        std::str::from_utf8(line).ok()?.parse().ok()
    }

    /// A string of this length and the end of its line.
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let whole = self.0.get(..length + 2)?;
        self.0.advance(length + 2);
        whole.get(..length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_where_they_end_and_named_by_their_key() {
        let sent = b"*2\r\n$3\r\nget\r\n$1\r\nk\r\n*4\r\n$7\r\nEVALSHA\r\n$2\r\nab\r\n$1\r\n1\r\n$4\r\nl\r\nk\r\n*1\r\n$4\r\nPI";
        let mut read = BytesMut::from(&sent[..]);
        let first = Command::split_from(&mut read).unwrap();
        assert_eq!(first.name, "cache GET k");
        assert_eq!(&*first.bytes, &sent[..20]);
        let second = Command::split_from(&mut read).unwrap();
        assert_eq!(second.name, "cache EVALSHA l\r\nk");
        assert!(
            Command::split_from(&mut read).is_none(),
            "it is not whole yet"
        );
        read.extend_from_slice(b"NG\r\n");
        assert_eq!(Command::split_from(&mut read).unwrap().name, "cache PING ");
        assert!(read.is_empty());
    }
}
