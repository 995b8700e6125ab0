/// Access to the bits of floating-point numbers. The code uses integer operations wherever a flush-to-zero mode, a
/// rounding mode or a compiler flag could change the result of floating-point arithmetic.
#pragma once

// -ffast-math and the options it contains let the compiler simplify (x + c) - c to x, or assume that NaN never occurs.
// The sums would then be wrong.
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || \
    defined(__NO_SIGNED_ZEROS__) || defined(__NO_TRAPPING_MATH__) || (__FINITE_MATH_ONLY__ + 0 != 0)
#error "the meter is not exact under -ffast-math or a part of it: compile with -fno-fast-math as the last flag"
#endif

#include <cstdint>
#include <cstring>

namespace pyml {

constexpr std::uint64_t kSignBit = std::uint64_t{1} << 63;
constexpr int kSmallestExponent = -1074;  ///< every finite double is an integer multiple of 2^-1074

template <class To, class From>
To bit_cast(const From& from) noexcept {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

inline std::uint64_t bits_of(double x) noexcept { return bit_cast<std::uint64_t>(x); }

/// A finite double, decoded: its value is (-1)^negative * significand * 2^(shift - 1074).
struct Decoded {
    std::uint64_t significand;  ///< below 2^53
    unsigned shift;             ///< 0 to 2045
    bool negative;
};

constexpr unsigned kNonFinite = 0x7ff;  ///< exponent field of infinities and NaN

inline unsigned exponent_field(double x) noexcept { return static_cast<unsigned>(bits_of(x) >> 52) & kNonFinite; }
inline bool is_finite(double x) noexcept { return exponent_field(x) != kNonFinite; }
inline bool is_nan(double x) noexcept { return (bits_of(x) & ~kSignBit) > std::uint64_t{kNonFinite} << 52; }

/// Decodes a double. Precondition: x is finite.
inline Decoded decode(double x) noexcept {
    const unsigned field = exponent_field(x);
    const unsigned normal = field != 0;  // subnormals lack the implicit bit and share the exponent of field 1
    const std::uint64_t fraction = bits_of(x) & ((std::uint64_t{1} << 52) - 1);
    return {fraction | (std::uint64_t{normal} << 52), field - normal, (bits_of(x) & kSignBit) != 0};
}

/// Returns 2^exponent. Precondition: -1022 <= exponent <= 1023, so that the result is a normal double.
inline double power_of_two(int exponent) noexcept {
    return bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
}

/// Returns an integer whose order is that of the doubles, for every double except NaN; -0 comes just below +0.
/// The code has no branch, because the sign of the data is unpredictable.
inline std::int64_t order_key(double x) noexcept {
    const std::uint64_t all_if_negative = 0 - (bits_of(x) >> 63);
    return bit_cast<std::int64_t>(bits_of(x) ^ (all_if_negative >> 1));
}

/// The inverse of order_key(), except that -0 becomes +0.
inline double from_order_key(std::int64_t key) noexcept {
    if (key == -1) return 0.0;
    return bit_cast<double>(key < 0 ? key ^ INT64_MAX : key);
}

/// Returns the double nearest to an integer, ties to even, in every rounding mode. T is an integer of up to 64 bits.
template <class T>
double nearest_double(T x) noexcept {
    if constexpr (sizeof(T) < 8) {
        return static_cast<double>(x);
    } else {
        const bool negative = x < 0;
        std::uint64_t units = negative ? 0 - static_cast<std::uint64_t>(x) : static_cast<std::uint64_t>(x);
        int shift = 0;
        while (units >> shift >> 53 != 0) ++shift;
        if (shift != 0) {
            const std::uint64_t half = std::uint64_t{1} << (shift - 1), rest = units & (2 * half - 1);
            units >>= shift;
            units += rest > half || (rest == half && (units & 1) != 0);
        }
        const double magnitude = static_cast<double>(static_cast<std::int64_t>(units)) * power_of_two(shift);
        return negative ? -magnitude : magnitude;
    }
}

/// Element types that C++17 does not have. Their memory layout is that of NumPy and PyTorch.
struct Float16 {
    std::uint16_t bits;  ///< IEEE 754 binary16
};
struct BFloat16 {
    std::uint16_t bits;  ///< the upper half of a binary32
};
struct Bool {
    std::uint8_t byte;  ///< 0 is false, every other value is true
};

/// Returns the exact value of a float as a double. A subnormal is computed from its integer fraction, because under
/// denormals-are-zero the processor's own conversion would return 0. NaN is composed from its bits, because the
/// conversion of a signalling NaN raises an exception.
inline double widen(float x) noexcept {
    const auto bits = bit_cast<std::uint32_t>(x);
    if ((bits & 0x7fffffff) > 0x7f800000) return bit_cast<double>(std::uint64_t{0x7ff8} << 48);
    if ((bits & 0x7f800000) != 0) return static_cast<double>(x);
    const double magnitude = static_cast<double>(static_cast<std::int32_t>(bits & 0x7fffff)) * power_of_two(-149);
    return bits >> 31 ? -magnitude : magnitude;
}

inline std::uint8_t plain(Bool x) noexcept { return x.byte != 0; }

/// Returns the float with the same value. The conversion is exact.
inline float plain(BFloat16 x) noexcept { return bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16); }

/// Returns the float with the same value. The conversion is exact, and the result is never a subnormal float.
/// Masks replace branches, so that the compiler can vectorise loops over this function.
inline float plain(Float16 x) noexcept {
    const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000) << 16;
    const std::uint32_t rest = x.bits & 0x7fff;
    const std::uint32_t rebias = (127U - 15U) << (rest >= 0x7c00);  // doubled, so that infinity and NaN are kept
    const std::uint32_t normal = (rest << 13) + (rebias << 23);
    const float tiny = static_cast<float>(static_cast<std::int32_t>(rest)) * 0x1p-24F;
    const std::uint32_t is_tiny = 0U - (rest < 0x400);  // the binary16 is subnormal or zero
    return bit_cast<float>(sign | (bit_cast<std::uint32_t>(tiny) & is_tiny) | (normal & ~is_tiny));
}

inline double widen(double x) noexcept { return x; }

}  // namespace pyml
