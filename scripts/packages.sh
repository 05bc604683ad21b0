#!/bin/sh
# Sourced by test.sh and demo.sh: brings the Debian packages that are missing.

# need PACKAGE...: installs those of the packages that are not there, and says so.
need()
{
    if ! command -v dpkg-query >/dev/null; then
        echo "This is no Debian: taking for granted that there is what Debian calls $*"
        return 0
    fi
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "Missing, and neither root nor sudo to install them:$missing" >&2; return 1; }
        root=sudo
    fi
    echo "Installing with apt-get${root:+ and sudo}:$missing"
    # Lists may be absent (fresh images) or stale: update first. sudo does not pass the environment on.
    $root env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null >/dev/null || return 1
    # shellcheck disable=SC2086 # a list
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing </dev/null >/dev/null
}

# shellcheck disable=SC2034 # for those who source this file
build_packages="gcc libc6-dev cmake ninja-build pkg-config libjansson-dev libxxhash-dev libpcre2-dev libutf8proc-dev"
# Criterion for the unit tests; python3 for the layer test and summaries; g++ for the headers as C++; Open MPI, which the
# build can do without, and procps for the ranks' tests.
# shellcheck disable=SC2034
test_packages="g++ libcriterion-dev libopenmpi-dev openmpi-bin procps python3"
