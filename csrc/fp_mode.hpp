/// The floating-point mode that the kernels require.
#pragma once

#include "simd.hpp"

#if PYML_X86_KERNELS
#include <immintrin.h>

namespace pyml {

/// Sets the default floating-point mode for its lifetime: round to nearest, keep subnormals, no traps. The destructor
/// restores the caller's mode, including the sticky flags. This is necessary because some libraries switch on
/// flush-to-zero and denormals-are-zero for the whole process, and either of them makes an error-free split lose bits.
class DefaultFloatingPointMode {
public:
    static constexpr unsigned kDefault = 0x1f80;  ///< MXCSR at process start: all exceptions masked, no flags set

    DefaultFloatingPointMode() noexcept : callers_(_mm_getcsr()) { _mm_setcsr(kDefault); }
    ~DefaultFloatingPointMode() { _mm_setcsr(callers_); }
    DefaultFloatingPointMode(const DefaultFloatingPointMode&) = delete;
    DefaultFloatingPointMode& operator=(const DefaultFloatingPointMode&) = delete;

private:
    unsigned callers_;
};

/// Clears the sticky flags. The memory clobber keeps the compiler from moving later loads, and so the arithmetic on
/// them, before this point.
inline void clear_flags() noexcept {
    const unsigned csr = DefaultFloatingPointMode::kDefault;
    asm volatile("ldmxcsr %0" : : "m"(csr) : "memory");
}

/// Returns whether every operation since clear_flags() was exact and valid.
inline bool all_exact() noexcept {
    constexpr unsigned kInvalid = 0x01, kInexact = 0x20;
    unsigned csr = 0;
    asm volatile("stmxcsr %0" : "=m"(csr) : : "memory");
    return (csr & (kInvalid | kInexact)) == 0;
}

}  // namespace pyml
#endif
