/// Exact products of two blocks of doubles, computed with vector instructions.
///
/// A fused multiply-add computes the rounding error of a product: a * b = product + rest holds exactly, unless one of
/// the two overflows or underflows. A sum of products is therefore the sum of two arrays of doubles, for which there
/// are fast kernels. Source: Ogita, Rump & Oishi 2005, "Accurate sum and dot product", algorithm 3.5 (TwoProductFMA).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "block_sum.hpp"
#include "float_bits.hpp"
#include "fp_mode.hpp"
#include "measure.hpp"
#include "simd.hpp"

namespace pyml {

constexpr std::size_t kProductBlock = 1024;  ///< the most values of one block; its buffers stay in the L1 cache

#if PYML_X86_KERNELS

PYML_PUSH_TARGET("avx2,fma")
namespace avx2 {

/// Returns whether every value is zero or has a magnitude of at least 2^-400 and below 2^400. The rest of a product is
/// then zero or a normal double of at least 2^-906.
inline bool products_are_safe(const double* data, std::size_t size) noexcept {
    constexpr std::int64_t kLow = std::int64_t{1023 - 400} << 52, kHigh = std::int64_t{1023 + 400} << 52;
    int outside = 0;
    for (std::size_t i = 0; i < size; ++i) {
        const std::int64_t magnitude = bit_cast<std::int64_t>(data[i]) & INT64_MAX;
        outside |= (magnitude != 0) & ((magnitude < kLow) | (magnitude >= kHigh));
    }
    return outside == 0;
}

/// Splits each product into the rounded product and its rounding error.
inline void split_products(const double* a, const double* b, std::size_t size, double* products,
                           double* rests) noexcept {
    for (std::size_t i = 0; i < size; ++i) {
        products[i] = a[i] * b[i];
        rests[i] = std::fma(a[i], b[i], -products[i]);
    }
}

}  // namespace avx2
PYML_POP_TARGET

#endif

/// Adds the products of up to kProductBlock pairs of values to `sums`, each as two doubles. Only s1 of `sums` is
/// meaningful: it increases by Σ a·b. Returns false and changes nothing if the level has no fused multiply-add or a
/// product could overflow or underflow; the caller must then use the scalar code.
inline bool add_products(Measure& sums, const double* a, const double* b, std::size_t size, Level level) noexcept {
#if PYML_X86_KERNELS
    if (level < Level::avx2 || !avx2::products_are_safe(a, size) || !avx2::products_are_safe(b, size)) return false;
    double products[kProductBlock], rests[kProductBlock];
    {
        const DefaultFloatingPointMode mode;
        avx2::split_products(a, b, size, products, rests);
    }
    sums.add_array(products, size, level);
    sums.add_array(rests, size, level);
    return true;
#else
    (void)sums, (void)a, (void)b, (void)size, (void)level;
    return false;
#endif
}

}  // namespace pyml
