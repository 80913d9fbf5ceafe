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

/// `KEYS[1]`: the key; `ARGV`: for each window the time of its burst, then the time of the cost. Decides as
/// [`crate::limiter::gcra::decide`] does and keeps the same text; [`crate::limiter::gcra::State::to_text`] says what is in it.
/// Answers whether it is allowed (1 or 0), how much of a pause is left, and for each window how long it takes to be full.
///
/// All times are whole microseconds, which Lua's floating-point numbers hold exactly up to 2^53; `Quota` keeps them below.
/// They are written with `%.0f`: left to itself, Lua writes 14 digits, `1.7e+15`. Time comes from the server, so that the
/// clocks of processes do not matter.
pub(super) static THROTTLE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
         local now = time[1] * 1000000 + time[2]
         local moments = {}
         for moment in string.gmatch(redis.call('GET', KEYS[1]) or '', '%d+') do moments[#moments + 1] = tonumber(moment) end
         local paused = math.max((moments[1] or 0) - now, 0)
         local reply = {paused == 0 and 1 or 0, paused}
         for window = 1, #ARGV / 2 do
             local full = tonumber(ARGV[2 * window - 1])
             local backlog = math.min(math.max((moments[window + 1] or 0) - now, 0), full)
             reply[window + 2] = backlog
             if backlog + ARGV[2 * window] > full then reply[1] = 0 end
         end
         if reply[1] == 0 or (ARGV[2] or '0') == '0' then return reply end
         local entry, last = '0', now
         for window = 1, #ARGV / 2 do
             local backlog = reply[window + 2] + ARGV[2 * window]
             reply[window + 2] = backlog
             entry = entry .. string.format(' %.0f', now + backlog)
             last = math.max(last, now + backlog)
         end
         redis.call('SET', KEYS[1], entry, 'PXAT', string.format('%.0f', math.ceil(last / 1000)))
         return reply",
    )
});

/// `KEYS[1]`: the key, as [`THROTTLE`] keeps it; `ARGV[1]`: the length of the pause in microseconds.
pub(super) static PAUSE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
         local over = time[1] * 1000000 + time[2] + ARGV[1]
         local paused_until, windows = string.match(redis.call('GET', KEYS[1]) or '0', '^(%d+)(.*)$')
         if tonumber(paused_until or 0) >= over then return 0 end
         local last = over
         for moment in string.gmatch(windows or '', '%d+') do last = math.max(last, tonumber(moment)) end
         local entry = string.format('%.0f', over) .. (windows or '')
         redis.call('SET', KEYS[1], entry, 'PXAT', string.format('%.0f', math.ceil(last / 1000)))
         return 1",
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
