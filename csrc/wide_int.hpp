/// Unsigned integers of more than 64 bits, with the operations that the meter needs. They are portable: MSVC has no
/// __int128.
#pragma once

#include <array>
#include <cstdint>

namespace pyml {

/// An unsigned 128-bit integer for counts and exact products. Arithmetic is modulo 2^128.
struct UInt128 {
    std::uint64_t low = 0;
    std::uint64_t high = 0;

    void add(std::uint64_t value) noexcept {
        low += value;
        high += low < value;
    }
    void add(UInt128 value) noexcept {
        add(value.low);
        high += value.high;
    }
    void subtract(UInt128 value) noexcept {
        high -= value.high + (low < value.low);
        low -= value.low;
    }
    friend bool operator==(UInt128 a, UInt128 b) noexcept { return a.low == b.low && a.high == b.high; }
    friend bool operator!=(UInt128 a, UInt128 b) noexcept { return !(a == b); }
};

/// Returns the exact product of two 64-bit integers, computed from their 32-bit halves.
inline UInt128 multiply_portably(std::uint64_t a, std::uint64_t b) noexcept {
    constexpr std::uint64_t kLow32 = 0xffffffff;
    const std::uint64_t a_low = a & kLow32, a_high = a >> 32, b_low = b & kLow32, b_high = b >> 32;
    const std::uint64_t low = a_low * b_low;
    const std::uint64_t cross = a_high * b_low + (low >> 32);         // at most (2^32-1)^2 + 2^32-1: no overflow
    const std::uint64_t middle = a_low * b_high + (cross & kLow32);  // the same bound
    return {(middle << 32) | (low & kLow32), a_high * b_high + (cross >> 32) + (middle >> 32)};
}

/// Returns the exact product of two 64-bit integers.
inline UInt128 multiply(std::uint64_t a, std::uint64_t b) noexcept {
#ifdef __SIZEOF_INT128__
    __extension__ using Product = unsigned __int128;
    const Product product = static_cast<Product>(a) * b;
    return {static_cast<std::uint64_t>(product), static_cast<std::uint64_t>(product >> 64)};
#else
    return multiply_portably(a, b);
#endif
}

/// An unsigned integer as base-2^32 limbs, least significant first.
template <std::size_t kSize>
using Limbs = std::array<std::uint32_t, kSize>;

inline Limbs<2> limbs(std::uint64_t value) noexcept {
    return {static_cast<std::uint32_t>(value), static_cast<std::uint32_t>(value >> 32)};
}

inline Limbs<4> limbs(UInt128 value) noexcept {
    return {static_cast<std::uint32_t>(value.low), static_cast<std::uint32_t>(value.low >> 32),
            static_cast<std::uint32_t>(value.high), static_cast<std::uint32_t>(value.high >> 32)};
}

/// Returns the exact product of a 128-bit and a 64-bit integer.
inline Limbs<6> multiply(UInt128 a, std::uint64_t b) noexcept {
    const UInt128 low = multiply(a.low, b);
    UInt128 high = multiply(a.high, b);
    high.add(low.high);
    const Limbs<2> bottom = limbs(low.low);
    const Limbs<4> top = limbs(high);
    return {bottom[0], bottom[1], top[0], top[1], top[2], top[3]};
}

}  // namespace pyml
