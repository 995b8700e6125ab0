#!/bin/sh
# Builds and runs the C++ tests. It can be started from any directory:  sh csrc/tests/run.sh
# The tests run in three builds: with sanitizers; with the optimisation of the extension, because some faults appear
# only in optimised code; and with the portable scalar code that other compilers and processors use.
set -eu

cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

run() {
    name=$1
    shift
    echo "== $name"
    mkdir "$build/$name"
    flags="-std=c++17 -Wall -Wextra -Wconversion -Wpedantic -Werror -ffp-contract=off $*"
    for source in *.cpp; do
        echo "${CXX:-g++} $flags -c $source -o $build/$name/$source.o"
    done | xargs -P 2 -I {} sh -c "{}"
    # shellcheck disable=SC2086
    ${CXX:-g++} $flags "$build/$name"/*.o -o "$build/$name/tests"
    "$build/$name/tests"
}

run sanitized -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
run optimised -O3
run portable -O2 -DPYML_X86_KERNELS=0
