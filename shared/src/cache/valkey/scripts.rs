//! Scripts that run inside the server, where read and write are atomic. In a cluster the keys of a call are in one slot: a
//! script gets one key, or keys with the same tag.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, cmd};

use crate::cache::{AHEAD_MS, AHEAD_US, MICROS_FROM};

/// In front of every script: what is at a key, false for nothing and for what is no text, such as a list that somebody left
/// there; and whether a stored value gives way to a new one, as [`crate::cache::Cache::put_newer`] says.
const COMMON: &str = "
    local function read(key)
        local found = redis.pcall('GET', key)
        return type(found) == 'string' and found
    end
    local function gives_way(key, value)
        local stored = redis.pcall('GETRANGE', key, 0, 19)
        if type(stored) ~= 'string' or #stored < 20 or not string.find(stored, '^%d+$') then return true end
        local version, time, latest = string.sub(value, 1, 20), redis.call('TIME'), nil
        if version < '$MICROS_FROM' then
            latest = time[1] * 1000 + math.floor(time[2] / 1000) + $AHEAD_MS
        else
            latest = time[1] * 1000000 + time[2] + $AHEAD_US
        end
        return stored < version or stored > string.format('%020.0f', latest)
    end
";

/// `KEYS`: the keys; `ARGV`: for each of them the versioned value, then the time to live in milliseconds. Compares the first
/// 20 bytes, see [`crate::cache::versioned`]. Answers how many values were put.
pub(super) static PUT_NEWER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local done = 0
         for number, key in ipairs(KEYS) do
             local value, ttl = ARGV[2 * number - 1], ARGV[2 * number]
             if gives_way(key, value) then
                 redis.call('SET', key, value, 'PX', ttl)
                 done = done + 1
             end
         end
         return done",
    )
});

/// `KEYS[1]`: the lease; `KEYS[2]`: the value's key; `ARGV[1]`: the owner; `ARGV[2]`: time to live in milliseconds. Answers
/// whether the lease was taken (1 or 0), the server's time in microseconds, in digits, and the value.
pub(super) static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local holder, value = read(KEYS[1]), read(KEYS[2])
         local time = redis.call('TIME')
         local now = string.format('%.0f', time[1] * 1000000 + time[2])
         if holder and holder ~= ARGV[1] then
             local left = redis.call('PTTL', KEYS[1])
             if left >= 0 and left <= tonumber(ARGV[2]) then return {0, now, value} end
         end
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
         return {1, now, value}",
    )
});

/// `KEYS[1]`: the lease; `ARGV[1]`: the owner; `ARGV[2]`: time to live in milliseconds. Answers whether the owner holds it.
pub(super) static EXTEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if read(KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0",
    )
});

/// `KEYS[1]`: the lease; `KEYS[2]`: the value's key; `ARGV[1]`: the owner; then the versioned value and its time to live, as for
/// [`PUT_NEWER`]. Answers whether the owner holds the lease.
pub(super) static PUT_HELD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if read(KEYS[1]) ~= ARGV[1] then return 0 end
         if gives_way(KEYS[2], ARGV[2]) then redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
         return 1",
    )
});

/// `KEYS[1]`: the key; `ARGV[1]`: the value to delete.
pub(super) static DELETE_EQUAL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if read(KEYS[1]) == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end return 0",
    )
});

/// `KEYS[1]`: the key; `ARGV[1]`: the patience; `ARGV[2]`: the longest patience allowed; `ARGV[3]`: the longest pause;
/// `ARGV[4]`: how much further ahead than possible a moment may lie; then for each window the time of its burst and the time of
/// the cost. Decides as [`crate::quota::gcra::decide`] does and keeps the same text;
/// [`crate::quota::gcra::State::to_text`] says what is in it. Answers whether it is allowed (1 or 0), how long until it may
/// proceed, how much of a pause is left, the server's time, and for each window how long it takes to be full.
///
/// All times are whole microseconds, which Lua's floating-point numbers hold exactly up to 2^53; `Quota` keeps them below.
/// They are written with `%.0f`: by default Lua writes 14 digits, `1.7e+15`. Time comes from the server, so that the clocks of
/// processes do not matter.
pub(super) static THROTTLE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
         local now = time[1] * 1000000 + time[2]
         local moments = {}
         for moment in string.gmatch(read(KEYS[1]) or '', '%d+') do moments[#moments + 1] = tonumber(moment) end
         local cut = false
         local function ahead_of_now(moment, longest)
             local ahead = math.max((moment or 0) - now, 0)
             if ahead <= longest then return ahead end
             cut = true
             if ahead > longest + ARGV[4] then return 0 end
             return longest
         end
         local paused = ahead_of_now(moments[1], tonumber(ARGV[3]))
         local wait, fits, backlogs, costs = paused, true, {}, {}
         for window = 1, #ARGV / 2 - 2 do
             local full, cost = tonumber(ARGV[2 * window + 3]), tonumber(ARGV[2 * window + 4])
             local backlog = ahead_of_now(moments[window + 1], full + ARGV[2])
             if cost > full then fits = false end
             if cost > 0 then wait = math.max(wait, backlog + cost - full) end
             backlogs[window], costs[window] = backlog, cost
         end
         local allowed = fits and wait <= tonumber(ARGV[1])
         local taken = allowed and (costs[1] or 0) > 0
         if taken or cut then
             local entry, last = string.format('%.0f', paused > 0 and now + paused or 0), now + paused
             for window, cost in ipairs(costs) do
                 if taken then backlogs[window] = math.max(backlogs[window], wait) + cost end
                 entry = entry .. string.format(' %.0f', now + backlogs[window])
                 last = math.max(last, now + backlogs[window])
             end
             redis.call('SET', KEYS[1], entry, 'PXAT', string.format('%.0f', math.ceil(last / 1000)))
         end
         return {allowed and 1 or 0, wait, paused, now, unpack(backlogs)}",
    )
});

/// `KEYS[1]`: the key, as [`THROTTLE`] keeps it; `ARGV[1]`: the moment at which the request that did not proceed left the first
/// window to be full; then for each window the time of the cost. Decides as [`crate::quota::gcra::give_back`] does. Answers
/// whether the cost was given back.
pub(super) static GIVE_BACK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local moments = {}
         for moment in string.gmatch(read(KEYS[1]) or '', '%d+') do moments[#moments + 1] = tonumber(moment) end
         if moments[2] ~= tonumber(ARGV[1]) then return 0 end
         local entry, last = string.format('%.0f', moments[1]), moments[1]
         for window = 2, #moments do
             local moment = math.max(moments[window] - (ARGV[window] or 0), 0)
             entry, last = entry .. string.format(' %.0f', moment), math.max(last, moment)
         end
         local time = redis.call('TIME')
         if last <= time[1] * 1000000 + time[2] then
             redis.call('UNLINK', KEYS[1])
         else
             redis.call('SET', KEYS[1], entry, 'PXAT', string.format('%.0f', math.ceil(last / 1000)))
         end
         return 1",
    )
});

/// `KEYS[1]`: the key, as [`THROTTLE`] keeps it; `ARGV[1]`: the length of the pause in microseconds; `ARGV[2]`: the longest
/// possible one.
pub(super) static PAUSE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
         local now = time[1] * 1000000 + time[2]
         local over = now + ARGV[1]
         local paused_until, windows = string.match(read(KEYS[1]) or '0', '^(%d+)(.*)$')
         paused_until = tonumber(paused_until or 0)
         if paused_until >= over and paused_until <= now + ARGV[2] then return 0 end
         local last = over
         for moment in string.gmatch(windows or '', '%d+') do last = math.max(last, math.min(tonumber(moment), over + ARGV[2])) end
         local entry = string.format('%.0f', over) .. (windows or '')
         redis.call('SET', KEYS[1], entry, 'PXAT', string.format('%.0f', math.ceil(last / 1000)))
         return 1",
    )
});

/// `KEYS[1]`: the sorted set; `ARGV[1]`: how many of its members to keep; `ARGV[2]`: time to live in milliseconds; then the
/// score to add and the member, for each.
pub(super) static ADD_SCORES: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if type(redis.pcall('ZCARD', KEYS[1])) ~= 'number' then redis.call('UNLINK', KEYS[1]) end
         for place = 3, #ARGV, 2 do redis.call('ZINCRBY', KEYS[1], ARGV[place], ARGV[place + 1]) end
         redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[1])
         return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    )
});

/// `KEYS[1]`: the sorted set, which is deleted. Returns members and scores alternately, the highest first.
pub(super) static TAKE_SCORES: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local scores = redis.pcall('ZREVRANGE', KEYS[1], 0, -1, 'WITHSCORES')
         redis.call('UNLINK', KEYS[1])
         if scores.err then return {} end
         return scores",
    )
});

/// A script and the hash that the server knows it by once it has run.
pub(super) struct Script {
    text: String,
    hash: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let text = format!("{COMMON}{text}")
            .replace("$MICROS_FROM", &format!("{MICROS_FROM:020}"))
            .replace("$AHEAD_MS", &AHEAD_MS.to_string())
            .replace("$AHEAD_US", &AHEAD_US.to_string());
        Self {
            hash: redis::Script::new(&text).get_hash().to_owned(),
            text,
        }
    }

    /// The call for a server that has run the script before.
    pub(super) fn by_hash(&self, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        call("EVALSHA", &self.hash, keys, arguments)
    }

    /// The call for any server; it remembers the script.
    pub(super) fn by_text(&self, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        call("EVAL", &self.text, keys, arguments)
    }
}

/// Whether the server does not know the hash.
pub(super) fn is_unknown(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn call(name: &str, script: &str, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
    let mut call = cmd(name);
    call.arg(script).arg(keys.len()).arg(keys);
    for argument in arguments {
        call.arg(*argument);
    }
    call
}
