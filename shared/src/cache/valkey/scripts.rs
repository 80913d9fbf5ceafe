//! What runs inside the server, where nothing comes between a look and a write. Each script touches one key, so that it
//! runs in a cluster too.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, cmd};

/// `KEYS[1]`: the key; `ARGV[1]`: the versioned value; `ARGV[2]`: time to live in milliseconds. Compares the first 20 bytes,
/// see [`crate::cache::versioned`].
pub(super) static PUT_NEWER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local stored = redis.call('GETRANGE', KEYS[1], 0, 19)
         if #stored == 20 and string.find(stored, '^%d+$') and stored >= string.sub(ARGV[1], 1, 20) then return 0 end
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
         return 1",
    )
});

/// `KEYS[1]`: the key; `ARGV[1]`: the value that is to go.
pub(super) static DELETE_EQUAL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end return 0",
    )
});

/// A script and the hash that the server knows it by once it has run.
pub(super) struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self {
            text,
            hash: redis::Script::new(text).get_hash().to_owned(),
        }
    }

    /// The call for a server that has run the script before.
    pub(super) fn by_hash(&self, key: &str, arguments: &[&[u8]]) -> Cmd {
        call("EVALSHA", &self.hash, key, arguments)
    }

    /// The call for any server; it remembers the script.
    pub(super) fn by_text(&self, key: &str, arguments: &[&[u8]]) -> Cmd {
        call("EVAL", self.text, key, arguments)
    }
}

/// Whether the server does not know the hash.
pub(super) fn is_unknown(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn call(name: &str, script: &str, key: &str, arguments: &[&[u8]]) -> Cmd {
    let mut call = cmd(name);
    call.arg(script).arg(1).arg(key);
    for argument in arguments {
        call.arg(*argument);
    }
    call
}
