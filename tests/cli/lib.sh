# shellcheck shell=bash
# Sourced by the tests of the program. They get these from CTest:
#   HYPERC  MAKE_CHECKPOINT  MAKE_CASE  PYTHON   programs
#   SHIM                                         the library that makes calls fail (shim.c)
# Each test works in a folder of its own, which goes when it ends. The first thing that is not as it should be ends the
# test, with what the last command said.
set -eu

here=$(cd "$(dirname "$0")" && pwd)

scratch=$(mktemp -d "${TMPDIR:-/tmp}/hyperc-cli-XXXXXX")
clean_up()
{
    local job
    for job in $(jobs -p); do
        kill -KILL "$job" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap clean_up EXIT
cd "$scratch"
stdout=$scratch/stdout stderr=$scratch/stderr
touch "$stdout" "$stderr"
skipped=0
# A wrapper, as version managers put in the way, would cost more than all else here.
PYTHON=$("$PYTHON" -c 'import sys; print(sys.executable)')
# A build with sanitizers brings its own allocator, and reports what the program leaks.
# One with gcov allocates and writes for itself when it ends, so that calls cannot be counted.
gcov=$(grep -qa __gcov_ "$HYPERC" && echo gcov || true)
sanitizer=$(ldd "$HYPERC" | sed -n 's/.* => \(.*libasan[^ ]*\) .*/\1/p')
# Many tests share the machine: threads that wait must not spin.
export OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive

fail()
{
    echo "FAILED: $*"
    echo "--- stdout"
    head -n 40 "$stdout"
    echo "--- stderr"
    head -n 40 "$stderr"
    exit 1
}

# run CODE COMMAND...: the command must end with this code. Its output is in $stdout and $stderr.
run()
{
    local expected=$1 code=0
    shift
    "$@" >"$stdout" 2>"$stderr" </dev/null || code=$?
    [ "$code" -eq "$expected" ] || fail "exit code $code, not $expected: $*"
}

# hyperc CODE ARGUMENT...: the program must end with this code; unless it is done, stderr says why in one line of its own.
hyperc()
{
    local expected=$1
    shift
    run "$expected" "$HYPERC" "$@"
    [ "$expected" -eq 0 ] || says "" ""
}

# says TEXT [PREFIX]: stderr holds a line that begins with PREFIX ("hyperc: ") and has TEXT in it.
says()
{
    grep "^${2-hyperc: }" "$stderr" | grep -qF -- "$1" || fail "stderr does not say: $1"
}

# prints TEXT: stdout holds it.
prints()
{
    grep -qF -- "$1" "$stdout" || fail "stdout does not hold: $1"
}

# prints_exactly: stdout is what comes in.
prints_exactly()
{
    diff - "$stdout" || fail "stdout is not as expected"
}

silent()
{
    [ ! -s "$stderr" ] || fail "stderr is not empty"
}

# json PATH EXPECTED: stdout is one JSON object with this value there (json_get.py). Without arguments: one JSON object.
json()
{
    "$PYTHON" "$here/json_get.py" "$stdout" "${1-}" >"$scratch/json" 2>"$scratch/json_error" ||
        fail "stdout is not one JSON object with ${1-}: $(cat "$scratch/json_error")"
    [ $# -lt 2 ] || [ "$(cat "$scratch/json")" = "$2" ] || fail "$1 is $(cat "$scratch/json"), not $2"
}

# devices_add_up NAME...: the JSON of a run tells of these devices, "RANK:DEVICE" each, which coded all that was coded.
devices_add_up()
{
    "$PYTHON" - "$stdout" "$@" <<'PYTHON' || fail "the devices are not as they should be"
import json, sys
with open(sys.argv[1]) as file:
    run = json.load(file)
devices = run["devices"]
names = [f"{device['rank']}:{device['name']}" for device in devices]
coded = run.get("totals", run)["coded_weights"]
assert names == sys.argv[2:], names
assert sum(device["weights"] for device in devices) == coded, devices
assert coded == 0 or abs(sum(device["share"] for device in devices) - 1) < 1e-9, devices
for device in devices:
    assert 0 <= device["waited"] <= 1 and device["busy_seconds"] <= device["seconds"], device
    assert device["weights"] == 0 or device["weights_per_second"] * device["busy_seconds"] > 0.99 * device["weights"]
PYTHON
}

same()
{
    diff -r "$1" "$2" >"$scratch/difference" 2>&1 || { cat "$scratch/difference"; fail "$1 and $2 differ"; }
}

absent()
{
    local path
    for path in "$@"; do
        [ ! -e "$path" ] && [ ! -L "$path" ] || fail "$path is there"
    done
}

# not_run WHAT...: a part of the test that this machine cannot do.
not_run()
{
    echo "not run: $*"
    skipped=$((skipped + 1))
}

# One line per claim that held; scripts/summary.py counts them.
passed=0
ok()
{
    passed=$((passed + 1))
    echo "ok      $*"
}

finish()
{
    echo "$passed passed, 0 failed, $skipped not run"
}

# with_faults [VARIABLE=VALUE...] COMMAND...: under the shim, whose knobs are variables (shim.c).
with_faults()
{
    env LD_PRELOAD="${sanitizer:+$sanitizer }$SHIM" "$@"
}

# checkpoint DIR OPTION...: a folder with a model.
checkpoint()
{
    "$MAKE_CHECKPOINT" -o "$@" >/dev/null || fail "cannot make a checkpoint"
    echo "text" >"$1/notes.txt"
    mkdir "$1/sub"
    printf '{"a": 1}\n' >"$1/sub/more.json"
}

# copy_model FROM TO: a model in a folder of its own, which may be changed.
copy_model()
{
    mkdir "$2"
    cp "$1"/* "$2"
    chmod -R u+w "$2"
}

# copy_with_template FROM TO: the same, with a chat template.
copy_with_template()
{
    copy_model "$1" "$2"
    "$PYTHON" - "$2/tokenizer_config.json" <<'PYTHON'
import json, sys
with open(sys.argv[1]) as file:
    config = json.load(file)
config["chat_template"] = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
with open(sys.argv[1], "w") as file:
    json.dump(config, file)
PYTHON
}
