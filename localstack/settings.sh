# Shared by the scripts of this folder. Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Where LocalStack runs and leaves its log. Thrown away at the next `up`.
state=${TARN_LOCALSTACK_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/tarn/localstack}
port=${TARN_LOCALSTACK_PORT:-4566}
gateway=${TARN_LOCALSTACK_GATEWAY:-127.0.0.1:3100}
export SERVICES=s3,sqs,sns,lambda,logs,events,iam,sts,cloudformation,cloudwatch,apigateway

die() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# runs FILE: whether the process whose id is in it lives.
runs() {
    [ -f "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null
}
