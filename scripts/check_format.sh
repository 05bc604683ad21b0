#!/bin/sh
# Holds the sources against .clang-format. With --fix, formats them.
#
# Exit: 0 sound, 1 a file is not formatted, 77 not run (versions of clang-format differ; only 14, Debian 12's, counts).
set -u
cd "$(dirname "$0")/.." || exit 1
tool=$(command -v clang-format-14 || command -v clang-format) || { echo "not run: no clang-format"; exit 77; }
"$tool" --version | grep -q 'version 14\.' || { echo "not run: clang-format is not version 14"; exit 77; }
sources()
{
    find include kernels host cuda models tools tests bench \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' \) -print0
}
if [ "${1:-}" = --fix ]; then
    sources | xargs -0 "$tool" -i
    exit
fi
bad=$(sources | xargs -0 "$tool" --dry-run -Werror 2>&1 | sed -n 's/^\([^: ]*\):[0-9]*:.*error: .*/\1/p' | sort -u)
[ -n "$bad" ] || exit 0
echo "not formatted (scripts/check_format.sh --fix):"
echo "$bad"
exit 1
