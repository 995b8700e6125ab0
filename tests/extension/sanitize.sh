#!/bin/sh
# Build the extension with a sanitizer in a copy of the sources, and stress it through Python: sanitize.sh PYTHON N
# ASan with UBSan, then TSan. The Python interpreter itself is not instrumented, so the runtime is preloaded.
set -eu
python=$1
n=$2
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
includes=$("$python" -m pybind11 --includes)
cp -r "$root/core" "$root/results" "$root/tests" "$work"
for sanitizer in address,undefined thread; do
    rm -f "$work"/core/_meter*.so
    # shellcheck disable=SC2086  # several options
    ${CXX:-c++} -std=c++17 -O1 -g -fno-omit-frame-pointer -ffp-contract=off -fsanitize=$sanitizer \
        -fno-sanitize-recover=undefined -shared -fPIC -fvisibility=hidden $includes \
        "$root/csrc/bindings.cpp" -o "$work/core/_meter$suffix"
    case $sanitizer in
        thread) library=$(${CXX:-c++} -print-file-name=libtsan.so) ;;
        *) library="$(${CXX:-c++} -print-file-name=libasan.so) $(${CXX:-c++} -print-file-name=libstdc++.so.6)" ;;
    esac
    echo "sanitizer: $sanitizer"
    env LD_PRELOAD="$library" ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS="halt_on_error=1 report_signal_unsafe=0" \
        OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$python" "$work/tests/extension/stress.py" "$n" 120 c++
done
