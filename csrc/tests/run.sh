#!/bin/sh
# Builds and runs the C++ tests, from anywhere:  sh csrc/tests/run.sh
# Twice: with the sanitizers, and optimised as the extension is, since an optimiser finds other ways to go wrong. Then
# once more as the portable scalar code that other compilers and processors get.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
CXX=${CXX:-g++}
common="-std=c++17 -Wall -Wextra -Wconversion -Wpedantic -Werror -ffp-contract=off"

run() {  # name, flags: compiles the test files two at a time, links and runs them
    name=$1
    shift
    # shellcheck disable=SC2086
    for source in "$here"/*.cpp; do echo "$source"; done |
        xargs -P 2 -I {} sh -c '$0 "$@" -c {} -o "$(echo {} | sed "s|.*/|'"$build/$name"'-|; s|cpp$|o|")"' "$CXX" $common "$@"
    "$CXX" "$@" "$build/$name"-*.o -o "$build/$name"
    echo "== $name"
    "$build/$name"
}

run sanitized -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
run optimised -O3
run portable -O2 -DPYML_X86_KERNELS=0
