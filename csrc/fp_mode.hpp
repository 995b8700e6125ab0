/// The floating-point mode that the kernels count on.
#pragma once

#include "simd.hpp"

#if PYML_X86_KERNELS
#include <immintrin.h>

namespace pyml {

/// While it lives, arithmetic rounds to nearest, keeps subnormals and traps nothing; then the caller's mode is back,
/// sticky flags included. Some libraries switch flush-to-zero and denormals-are-zero on for the whole process, and
/// either makes an error-free split lose bits.
class DefaultFloatingPointMode {
public:
    static constexpr unsigned kDefault = 0x1f80;  ///< MXCSR as a process starts: all exceptions masked, no flag raised

    DefaultFloatingPointMode() noexcept : callers_(_mm_getcsr()) { _mm_setcsr(kDefault); }
    ~DefaultFloatingPointMode() { _mm_setcsr(callers_); }
    DefaultFloatingPointMode(const DefaultFloatingPointMode&) = delete;
    DefaultFloatingPointMode& operator=(const DefaultFloatingPointMode&) = delete;

private:
    unsigned callers_;
};

/// Clears the sticky flags. What is computed from memory that is read after this raises them anew.
inline void clear_flags() noexcept {
    const unsigned csr = DefaultFloatingPointMode::kDefault;
    asm volatile("ldmxcsr %0" : : "m"(csr) : "memory");
}

/// Whether nothing was inexact or invalid since clear_flags().
inline bool all_exact() noexcept {
    constexpr unsigned kInvalid = 0x01, kInexact = 0x20;
    unsigned csr = 0;
    asm volatile("stmxcsr %0" : "=m"(csr) : : "memory");
    return (csr & (kInvalid | kInexact)) == 0;
}

}  // namespace pyml
#endif
