# Shared by the scripts of this folder and by ../clients/run: where tools are cached, free ports, waiting, ending by process id.
# Sourced, never run. Knows nothing of Tarn.

TOOLS="${XDG_CACHE_HOME:-$HOME/.cache}/tarn/tools"

die() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# Exit status of a script that cannot do its work on this machine, for a reason that is not a defect of the project.
readonly NOT_AVAILABLE=3

# free_ports N: N distinct ports of 127.0.0.1 that were free a moment ago, on one line.
free_ports() {
    python3 - "$1" <<'PY'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))
PY
}

# installed DIR LOCKFILE...: whether DIR was completely made from exactly these files.
installed() {
    local dir=$1
    shift
    [ -f "$dir/.made-from" ] && [ "$(cat "$dir/.made-from")" = "$(cat "$@" | sha256sum)" ]
}

# mark_installed DIR LOCKFILE...: remember what DIR was made from. Last step of an installation.
mark_installed() {
    local dir=$1
    shift
    cat "$@" | sha256sum >"$dir/.made-from"
}

# wait_http PID URL STATUS SECONDS LOG: until URL answers STATUS; fails when the process ends first or the time is over.
wait_http() {
    local pid=$1 url=$2 status=$3 seconds=$4 log=$5 deadline
    deadline=$((SECONDS + seconds))
    until [ "$(curl -s -o /dev/null -m 2 -w '%{http_code}' "$url")" = "$status" ]; do
        if ! kill -0 "$pid" 2>/dev/null; then
            tail -n 30 "$log" >&2
            die "process $pid ended before $url answered $status; its log is $log"
        fi
        [ "$SECONDS" -lt "$deadline" ] || {
            kill -9 "$pid"
            tail -n 30 "$log" >&2
            die "$url did not answer $status within $seconds s; the log is $log"
        }
        sleep 0.2
    done
}

# create_bucket ENDPOINT BUCKET: as the user test / testtest.
create_bucket() {
    local status
    status=$(curl -s -o /dev/null -m 20 -w '%{http_code}' --aws-sigv4 aws:amz:us-east-1:s3 -u test:testtest -X PUT "$1/$2")
    [ "$status" = 200 ] || die "creating bucket $2 at $1 was answered with $status"
}

# stop_server DIR: end what `start DIR` started. SIGKILL, since the folder is thrown away and a polite end takes up to 25 s.
stop_server() {
    local pid
    [ -f "$1/pid" ] || return 0
    pid=$(cat "$1/pid")
    kill -9 "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    rm "$1/pid"
}
