/// Exact sums of one block of an array, computed with the vector instructions of each SIMD level.
///
/// A kernel accepts a block if all values lie in one *window* of exponents: |x| <= 2^top, and no value has a bit below
/// the window's lowest bit. Such values can be split into pieces without error, and the sums and products of the pieces
/// are exact. The kernel knows only at the end of a block whether all values were in the window. If they were not, the
/// caller discards the sums.
/// Sources: Rump, Ogita & Oishi 2008, "Accurate floating-point summation part I" (ExtractVector); Demmel & Nguyen
/// 2015, "Parallel reproducible summation" (bins).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "float_bits.hpp"
#include "fp_mode.hpp"
#include "simd.hpp"

namespace pyml {

/// An exact partial sum: sum * 2^exponent.
struct Partial {
    std::int64_t sum = 0;
    int exponent = 0;
};

/// The result of a kernel for one block. Unused partial sums are zero.
struct BlockSums {
    static constexpr int kMaxBlocks = 4;  ///< most blocks merged into one: each sum is at most 2^60

    std::array<Partial, 2> values;   ///< add up to Σ x
    std::array<Partial, 6> squares;  ///< add up to Σ x²
    double min;
    double max;

    /// Adds the sums of another block. Precondition: both blocks were summed with the same window.
    void merge(const BlockSums& other) noexcept {
        for (std::size_t i = 0; i < values.size(); ++i) values[i].sum += other.values[i].sum;
        for (std::size_t i = 0; i < squares.size(); ++i) squares[i].sum += other.squares[i].sum;
        if (other.min < min) min = other.min;
        if (other.max > max) max = other.max;
    }
};

/// The kernels of one SIMD level for arrays of T, which is double or float.
template <class T>
struct Kernels {
    std::size_t lanes;       ///< the size of a block must be a multiple of this
    std::size_t block_size;  ///< the largest size of a block for which no sum overflows
    int min_top, max_top;    ///< the range of `top` that sum_block accepts
    int reach;               ///< zeros and values with 2^(top-reach) <= |x| <= 2^top are always in the window

    /// Sums data[0..size). Returns false if a value lies outside the window of `top`; `sums` is then meaningless.
    bool (*sum_block)(const T* data, std::size_t size, int top, BlockSums& sums) noexcept;

    /// Returns the largest |x| of data[0..size), ignoring NaN, or 0 if there are no other values.
    double (*largest_magnitude)(const T* data, std::size_t size) noexcept;
};

/// Prefetches the cache line at a fixed distance after data. The address may lie beyond the end of the array, which is
/// allowed because a prefetch is only a hint. The distance is the fastest one in measurements; it determines the speed
/// for arrays that are not in the cache.
inline void prefetch_beyond(const void* data) noexcept {
    constexpr std::uintptr_t kDistance = 6144;
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(data) + kDistance));
}

}  // namespace pyml

// Each level is compiled for its own instruction set, independently of the build machine. Each level has its own
// namespace, so that the linker cannot replace a function of one level by that of another. A target attribute on each
// function would not apply to lambdas inside it. The pragma does; it misses only implicitly defined constructors (GCC
// 12), so the classes of the kernels define theirs.
#if PYML_X86_KERNELS

#define PYML_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define PYML_PUSH_TARGET(name) PYML_PRAGMA(clang attribute push(__attribute__((target(name))), apply_to = function))
#define PYML_POP_TARGET PYML_PRAGMA(clang attribute pop)
#else
#define PYML_PUSH_TARGET(name) PYML_PRAGMA(GCC push_options) PYML_PRAGMA(GCC target(name))
#define PYML_POP_TARGET PYML_PRAGMA(GCC pop_options)
#endif

#include "kernel_sse2.hpp"

PYML_PUSH_TARGET("avx2,fma")
#include "kernel_avx2.hpp"
PYML_POP_TARGET

PYML_PUSH_TARGET("avx512f,avx512dq,avx512vl,avx512ifma")
#include "kernel_avx512.hpp"
PYML_POP_TARGET

namespace pyml {

/// Returns the kernels of a level above scalar. Precondition: the processor supports the level.
template <class T>
const Kernels<T>& kernels(Level level) noexcept {
    static_assert(std::is_same_v<T, double> || std::is_same_v<T, float>);
    if constexpr (std::is_same_v<T, double>) {
        if (level == Level::avx512) return avx512::kDoubleKernels;
        return level == Level::avx2 ? avx2::kDoubleKernels : baseline::kDoubleKernels;
    } else {
        if (level == Level::avx512) return avx512::kFloatKernels;
        return level == Level::avx2 ? avx2::kFloatKernels : baseline::kFloatKernels;
    }
}

}  // namespace pyml

#endif
