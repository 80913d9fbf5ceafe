//! One connection without a client library: what `redis-benchmark -c 1` measures.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A blocking connection to a Valkey.
pub(crate) struct Socket {
    reader: BufReader<TcpStream>,
}

impl Socket {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            reader: BufReader::new(stream),
        }
    }

    /// The bytes of the value at `key`, of which there must be one.
    pub(crate) fn get(&mut self, key: &str) -> Vec<u8> {
        let header = self.ask(&["GET", key]);
        let length: usize = header.strip_prefix('$').unwrap().parse().unwrap();
        let mut value = vec![0; length + 2];
        self.reader.read_exact(&mut value).unwrap();
        value.truncate(length);
        value
    }

    /// Forgets everything.
    pub(crate) fn flush_all(&mut self) {
        assert_eq!(self.ask(&["FLUSHALL"]), "+OK");
    }

    fn ask(&mut self, words: &[&str]) -> String {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.reader.get_mut().write_all(command.as_bytes()).unwrap();
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}
