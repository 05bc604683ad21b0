# shellcheck shell=sh
# Sourced by the tests that run a model over several processes, with their arguments HYPERC DIRECTORY: they go on in that
# folder, which is empty, and have these.
#
# HYPERC_DATA: a folder with story260K/ and tinystories_valid_30k.txt; by default ../shared/data, seen from the top of the
# sources. Without it they are not run.
# shellcheck disable=SC2034 # for those who source this file
hyperc=$1 scratch=$2
here=$(cd "$(dirname "$0")" && pwd)
data=${HYPERC_DATA:-$here/../../../shared/data}
story=$data/story260K
if [ ! -r "$story/config.json" ]; then
    echo "not run: no model in $data (HYPERC_DATA)"
    exit 77
fi
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch" || exit 1
export OMP_WAIT_POLICY=passive
