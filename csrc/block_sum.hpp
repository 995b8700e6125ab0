/// Exact sums of one block of an array, by the vector instructions of each level.
///
/// A kernel takes a block whose values lie in one *window* of exponents: |x| <= 2^top, and no bit of x below the
/// window's lowest. There the values split by adding and subtracting constants, without error, and the sums and
/// products of the pieces cannot round. Whether the block did lie in the window is known at its end; if not, nothing
/// has been stored.
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

/// sum * 2^exponent
struct Partial {
    std::int64_t sum = 0;
    int exponent = 0;
};

/// What a kernel makes of a block; unused partials are zero.
struct BlockSums {
    static constexpr int kMaxBlocks = 4;  ///< that can be merged: a block's sums are at most 2^60

    std::array<Partial, 2> values;   ///< add up to Σ x
    std::array<Partial, 6> squares;  ///< add up to Σ x²
    double min;
    double max;

    /// Adds the sums of another block in the same window.
    void merge(const BlockSums& other) noexcept {
        for (std::size_t i = 0; i < values.size(); ++i) values[i].sum += other.values[i].sum;
        for (std::size_t i = 0; i < squares.size(); ++i) squares[i].sum += other.squares[i].sum;
        if (other.min < min) min = other.min;
        if (other.max > max) max = other.max;
    }
};

/// The kernels of one level for arrays of T: double or float.
template <class T>
struct Kernels {
    std::size_t lanes;       ///< the size of a block is a multiple of it
    std::size_t block_size;  ///< and at most this: then no sum overflows
    int min_top, max_top;    ///< the windows that sum_block can do
    int reach;               ///< values in 2^(top-reach)..2^top, of either sign, and zeros lie in the window

    /// Sums data[0..size) if it lies in the window below 2^top. Otherwise returns false, and sums is void.
    bool (*sum_block)(const T* data, std::size_t size, int top, BlockSums& sums) noexcept;

    /// The largest |x| of data[0..size), NaN left out; 0 if there is none.
    double (*largest_magnitude)(const T* data, std::size_t size) noexcept;
};

/// Asks for the cache line some way ahead of data, where the array may have ended already: a hint, not an access.
/// The distance was measured; it decides the speed from memory.
inline void prefetch_beyond(const void* data) noexcept {
    constexpr std::uintptr_t kDistance = 6144;
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(data) + kDistance));
}

}  // namespace pyml

// Each level is compiled for its own instructions, whatever the build machine has, and in its own namespace, so that
// the linker cannot take one level's function for another's. A function's target attribute would miss the lambdas
// inside; the pragma reaches all but constructors that nobody wrote (GCC 12).
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

/// The kernels of a level above scalar. Precondition: the processor has it.
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
