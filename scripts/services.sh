# shellcheck shell=bash
# Background services for the other scripts, which source this file: free ports, start, wait, stop. Everything listens on
# 127.0.0.1 only, writes its log under $logs, and is stopped by its process id when the script ends, however it ends.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/.tools
started=()

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

# keep_logs_in FOLDER: keeps this run's logs and data in that folder under .data; removes those of an earlier run.
keep_logs_in() {
  logs=$root/.data/$1
  mkdir -p "$root/.data"
  if command -v flock >/dev/null; then
    exec 8>"$root/.data/.$1.lock"
    flock --nonblock 8 || fail "another run of this is active; it uses .data/$1"
  fi
  rm -rf "$logs"
  mkdir -p "$logs"
  trap stop_services EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# free_ports COUNT: prints that many different free ports, one per line.
free_ports() {
  "$tools/bin/aws-python" - "$1" <<'PYTHON'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in sockets:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])
PYTHON
}

# build_helpers: builds the workspace's own programs, the same way everywhere, so that a second script finds them built.
# shellcheck disable=SC2034 # the sourcing scripts use it
build_helpers() {
  cargo build --locked --quiet --workspace --bins --manifest-path "$root/Cargo.toml"
  binaries=${CARGO_TARGET_DIR:-$root/target}/debug
}

# start NAME COMMAND…: runs it in the background, in its own process group, without our standard input.
start() {
  local name=$1
  shift
  set -m
  "$@" </dev/null >"$logs/$name.log" 2>&1 8>&- &
  set +m
  started+=($!)
}

# run COMMAND…: waits for it and returns its status. Unlike with a plain command, a signal to this script ends it at once.
run() {
  set -m
  "$@" <&0 8>&- &
  set +m
  started+=($!)
  wait $!
}

# await NAME PORT: waits until the port accepts connections, at most 20 seconds; fails at once when NAME has ended.
await() {
  local name=$1 port=$2 attempt pid=${started[-1]}
  for ((attempt = 0; attempt < 400; attempt++)); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      return
    fi
    if ! kill -0 "$pid" 2>/dev/null; then
      break
    fi
    sleep 0.05
  done
  tail -n 20 "$logs/$name.log" >&2
  fail "$name did not start; its log is ${logs#"$root"/}/$name.log"
}

# Stops what `start` started, last first: with SIGTERM, after five seconds with SIGKILL. The group includes its children.
stop_services() {
  local status=$? index pid attempt
  trap - EXIT INT TERM
  for ((index = ${#started[@]} - 1; index >= 0; index--)); do
    kill -TERM -- "-${started[index]}" 2>/dev/null || true
  done
  for pid in "${started[@]}"; do
    for ((attempt = 0; attempt < 50; attempt++)); do
      kill -0 -- "-$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL -- "-$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  exit "$status"
}

# start_valkey NAME PORT OPTION…: without persistence.
start_valkey() {
  local name=$1 port=$2
  shift 2
  mkdir -p "$logs/$name"
  start "$name" "$tools/bin/valkey-server" --bind 127.0.0.1 --port "$port" --dir "$logs/$name" --save "" --appendonly no \
    --daemonize no "$@"
  await "$name" "$port"
}

# start_ministack NAME PORT VARIABLE=VALUE…: the AWS emulator. It passes its own environment to the functions it runs, so it
# starts with an empty one; it passes them its address only if AWS_ENDPOINT_URL is set.
start_ministack() {
  local name=$1 port=$2
  shift 2
  mkdir -p "$logs/$name"
  start "$name" env -i HOME="$logs/$name" TMPDIR="$logs/$name" PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
    BIND_HOST=127.0.0.1 GATEWAY_PORT="$port" AWS_ENDPOINT_URL="http://127.0.0.1:$port" MINISTACK_REGION=us-east-1 \
    S3_DATA_DIR="$logs/$name/s3" STATE_DIR="$logs/$name/state" IOT_MTLS_ENABLED=0 LAMBDA_EXECUTOR=local "$@" \
    "$tools/bin/aws-python" "$root/scripts/ministack_conditions.py"
  await "$name" "$port"
}

# Fake credentials, so that nothing started from here can reach a real account.
use_emulated_aws() {
  export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
  export AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
  unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL
}
