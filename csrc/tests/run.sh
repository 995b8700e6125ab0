#!/bin/sh
# Builds and runs the C++ tests, from anywhere:  sh csrc/tests/run.sh
# Three times: with the sanitizers; optimised as the extension is, since an optimiser finds other ways to go wrong; and
# as the portable scalar code that other compilers and processors get.
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
