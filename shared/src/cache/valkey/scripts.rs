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

/// `KEYS[1]`: the key; `ARGV[1]`: how much further ahead than possible a moment may lie; then for each window the time of its burst
/// and the time of the cost. Decides as [`crate::quota::gcra::decide`] does and keeps the same text;
/// [`crate::quota::gcra::State::to_text`] says what is in it. Answers whether it is allowed (1 or 0), how long until it is, and
/// for each window how long it takes to be full.
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
         local cut, fits, missing, backlogs, costs = false, true, 0, {}, {}
         for window = 1, (#ARGV - 1) / 2 do
             local full, cost = tonumber(ARGV[2 * window]), tonumber(ARGV[2 * window + 1])
             local backlog = math.max((moments[window] or 0) - now, 0)
             if backlog > full then
                 cut, backlog = true, backlog > full + ARGV[1] and 0 or full
             end
             if cost > full then fits = false end
             if cost > 0 then missing = math.max(missing, backlog + cost - full) end
             backlogs[window], costs[window] = backlog, cost
         end
         local allowed = fits and missing == 0
         local taken = allowed and (costs[1] or 0) > 0
         if taken or cut then
             local entry, last = {}, now
             for window, cost in ipairs(costs) do
                 if taken then backlogs[window] = backlogs[window] + cost end
                 entry[window] = string.format('%.0f', now + backlogs[window])
                 last = math.max(last, now + backlogs[window])
             end
             redis.call('SET', KEYS[1], table.concat(entry, ' '), 'PXAT', string.format('%.0f', math.ceil(last / 1000)))
         end
         return {allowed and 1 or 0, missing, unpack(backlogs)}",
    )
});

/// In front of the scripts about places: the numbers in front of a state ([`crate::quota::sliding_log::State`] says which), zero
/// for what is missing or not exact. What is no text gives way.
const PLACES: &str = "
    local function exact(number) return number < 9007199254740992 and number or 0 end
    local function header(key)
        local found = redis.pcall('GETRANGE', key, 0, 39)
        if type(found) ~= 'string' then redis.call('UNLINK', key) return 0, 0, 0, 0, 0 end
        if #found < 40 then return 0, 0, 0, 0, 0 end
        local paused, count, last, told, told_until = struct.unpack('<I8I8I8I8I8', found)
        return exact(paused), exact(count), exact(last), exact(told), exact(told_until)
    end
    local function slot(key, first, number, group, slots)
        local from = first + math.floor(number / group) % slots * 8
        local found = redis.call('GETRANGE', key, from, from + 7)
        return #found == 8 and exact(struct.unpack('<I8', found)) or 0
    end
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
";

/// `KEYS[1]`: the key; `ARGV[1]`: the patience; `ARGV[2]` and `ARGV[3]`: how far ahead a place and the end of a pause can lie;
/// `ARGV[4]`: the longest estimate; `ARGV[5]`: the most callers to count who were refused; then for each window its limit, length,
/// calls per slot and slots. Decides as [`crate::quota::sliding_log::decide`] does and keeps the same bytes. Answers whether there
/// is a place (1 or 0), the wait for it or until the next attempt, the number and moment of the place, and the window that decided.
///
/// It reads and writes the few slots that count, whatever the number of slots.
pub(super) static RESERVE: LazyLock<Script> = LazyLock::new(|| {
    Script::of_places(
        "local patience, estimate = tonumber(ARGV[1]), tonumber(ARGV[4])
         local paused, count, last, told, told_until = header(KEYS[1])
         local latest = now + ARGV[2]
         if paused > now + ARGV[3] then paused = 0 end
         local earliest = math.max(now, paused, last <= latest and last or 0)
         local windows, first, longest = {}, 40, 0
         for place = 6, #ARGV, 4 do
             local limit, length, group, slots = unpack(ARGV, place, place + 3)
             windows[#windows + 1] = {tonumber(limit), tonumber(length), tonumber(group), tonumber(slots), first}
             first, longest = first + slots * 8, math.max(longest, length)
         end
         local function place_after(others)
             local place, tightest = earliest, 0
             for index, window in ipairs(windows) do
                 local limit, length, group, slots, first = unpack(window)
                 local number, at = count + others % limit - limit, earliest
                 if number >= 0 then
                     local before = slot(KEYS[1], first, number, group, slots)
                     if before > 0 and before <= latest then at = math.max(at, before + length) end
                 end
                 at = at + math.floor(others / limit) * length
                 if at > place then place, tightest = at, index end
             end
             return place, tightest
         end
         local at, tightest = place_after(0)
         if at - now <= patience then
             local moment = struct.pack('<I8', at)
             redis.call('SETRANGE', KEYS[1], 0, struct.pack('<I8I8I8I8I8', paused, count + 1, at, told, told_until))
             for _, window in ipairs(windows) do
                 local slot = math.floor(count / window[3]) % window[4]
                 redis.call('SETRANGE', KEYS[1], window[5] + slot * 8, moment)
             end
             local ends = math.ceil(math.max(paused, at + longest) / 1000)
             redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', ends))
             return {1, at - now, count, at, tightest}
         end
         local refused = told_until > now and math.min(math.max(told - count, 0), tonumber(ARGV[5])) or 0
         local next_wait, told_at = at - now - patience, 0
         told_at, tightest = place_after(refused)
         local told_wait = told_at - now - patience
         local wait = math.max(math.min(told_wait, estimate), next_wait)
         if told_wait < estimate then refused = refused + 1 end
         redis.call('SETRANGE', KEYS[1], 0, struct.pack('<I8I8I8I8I8', paused, count, last, count + refused, now + wait))
         return {0, wait, count, 0, tightest}",
    )
});

/// `KEYS[1]`: the key; `ARGV[1]` and `ARGV[2]`: the number and moment of the place; then for each window its calls per slot and
/// slots. Decides as [`crate::quota::sliding_log::give_back`] does. Answers whether the place was given back.
pub(super) static GIVE_BACK: LazyLock<Script> = LazyLock::new(|| {
    Script::of_places(
        "local number, at = tonumber(ARGV[1]), tonumber(ARGV[2])
         local paused, count, last, told, told_until = header(KEYS[1])
         if at == 0 or count ~= number + 1 or last ~= at then return 0 end
         local before, first = number > 0 and at or 0, 40
         for place = 3, #ARGV, 2 do
             local group, slots = tonumber(ARGV[place]), tonumber(ARGV[place + 1])
             if number > 0 then before = math.min(before, slot(KEYS[1], first, number - 1, group, slots)) end
             first = first + slots * 8
         end
         redis.call('SETRANGE', KEYS[1], 0, struct.pack('<I8I8I8I8I8', paused, number, before, told, told_until))
         return 1",
    )
});

/// `KEYS[1]`: the key; `ARGV[1]`: the length of the pause; `ARGV[2]`: how far ahead the end of a pause can lie. The entry lasts as
/// long as the pause at least.
pub(super) static PAUSE: LazyLock<Script> = LazyLock::new(|| {
    Script::of_places(
        "local paused, count, last, told, told_until = header(KEYS[1])
         if paused > now + ARGV[2] then paused = 0 end
         local length = tonumber(ARGV[1])
         if paused > now + length then return 0 end
         redis.call('SETRANGE', KEYS[1], 0, struct.pack('<I8I8I8I8I8', now + length, count, last, told, told_until))
         local ttl = math.max(math.ceil(length / 1000), 1)
         if redis.call('PTTL', KEYS[1]) < ttl then redis.call('PEXPIRE', KEYS[1], ttl) end
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
    fn new(text: &str) -> Self {
        let text = format!("{COMMON}{text}")
            .replace("$MICROS_FROM", &format!("{MICROS_FROM:020}"))
            .replace("$AHEAD_MS", &AHEAD_MS.to_string())
            .replace("$AHEAD_US", &AHEAD_US.to_string());
        Self {
            hash: redis::Script::new(&text).get_hash().to_owned(),
            text,
        }
    }

    /// A script about places.
    fn of_places(text: &str) -> Self {
        Self::new(&format!("{PLACES}{text}"))
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
