#!/bin/sh
# Installs into a scratch prefix, moves that, and builds and runs a program against what lies there.
#
# usage: check_install.sh CMAKE BUILD_DIRECTORY PREFIX PKG_CONFIG CC     (DOWNSTREAM_CFLAGS: flags of the build)
set -eu
cmake=$1 build=$2 prefix=$3 pkg_config=$4 cc=$5
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$prefix" "$prefix.first"
"$cmake" --install "$build" --prefix "$prefix.first" >/dev/null
mv "$prefix.first" "$prefix"

for file in bin/hyperc include/hyperc/hyperc.h share/man/man1/hyperc.1; do
    [ -f "$prefix/$file" ] || { echo "$file was not installed"; exit 1; }
done
pc=$(find "$prefix" -name hyperc.pc)
[ -n "$pc" ] || { echo "hyperc.pc was not installed"; exit 1; }
PKG_CONFIG_PATH=$(dirname "$pc")${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH

# shellcheck disable=SC2046,SC2086 # lists of flags
"$cc" -std=c11 -Wall -Wextra -Werror ${DOWNSTREAM_CFLAGS:-} "$here/downstream.c" -o "$prefix/downstream" \
    $("$pkg_config" --static --cflags --libs hyperc)
"$prefix/downstream" "$prefix/scratch"

version=$("$pkg_config" --modversion hyperc)
case $("$prefix/bin/hyperc" --version) in
*"$version"*) ;;
*) echo "hyperc --version does not say $version"; exit 1 ;;
esac
# The man page and the help of the commands name the same options.
sed 's/\\-/-/g' "$prefix/share/man/man1/hyperc.1" >"$prefix/man.txt"
options()
{
    grep -oE -e '--[a-z][a-z-]*' "$1" | sort -u | grep -vx -e --help
}
# The options under a heading of the man page.
section()
{
    sed -n "/^\.SS $1/,/^\.S[SH] /p" "$prefix/man.txt" | sed -n '$d;/^\.B/p'
}
for command in compress inspect verify decompress; do
    "$prefix/bin/hyperc" $command --help >"$prefix/help.txt"
    { section "Options of every command"; section "hyperc $command"; } >"$prefix/section.txt"
    options "$prefix/help.txt" >"$prefix/help.options"
    options "$prefix/section.txt" >"$prefix/man.options"
    diff "$prefix/help.options" "$prefix/man.options" || {
        echo "hyperc $command --help (<) and the man page (>) name different options"
        exit 1
    }
done
rm -rf "$prefix"
echo "install: a program was built from what is installed, version $version"
