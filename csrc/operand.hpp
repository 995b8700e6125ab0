/// One array element of any type, decoded into integers, so that the product of two elements can be computed exactly.
#pragma once

#include <cstdint>
#include <type_traits>

#include "float_bits.hpp"

namespace pyml {

/// A decoded value: (-1)^negative * significand * 2^(shift - 1074). For an infinity or NaN only `nearest` is set.
struct Operand {
    std::uint64_t significand = 0;
    unsigned shift = 0;  ///< at most 2045
    bool negative = false;
    double nearest = 0;  ///< the value as a double; rounded to nearest for an integer beyond 2^53

    [[nodiscard]] bool is_finite() const noexcept { return pyml::is_finite(nearest); }
    [[nodiscard]] bool is_nan() const noexcept { return pyml::is_nan(nearest); }
};

inline Operand operand_of(double x) noexcept {
    if (!is_finite(x)) return {0, 0, false, x};
    const Decoded d = decode(x);
    return {d.significand, d.shift, d.negative, x};
}

/// Converts x to the nearest double. Sets `exact` to false if x is an integer beyond ±2^53, for which the conversion
/// may round.
template <class T>
double double_of(T x, bool& exact) noexcept {
    if constexpr (std::is_integral_v<T>) {
        if constexpr (sizeof(T) == 8) {
            constexpr T kMost = T{1} << 53;
            exact &= x <= kMost;
            if constexpr (std::is_signed_v<T>) exact &= x >= -kMost;
        }
        return static_cast<double>(x);
    } else if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
        return widen(x);
    } else if constexpr (std::is_same_v<T, Bool>) {
        return static_cast<double>(plain(x));
    } else {
        return widen(plain(x));
    }
}

/// Decodes an element of type double, float, Float16, BFloat16, Bool or an integer of 8 to 64 bits.
template <class T>
Operand operand_of(T x) noexcept {
    if constexpr (std::is_integral_v<T>) {
        const auto bits = static_cast<std::uint64_t>(static_cast<std::int64_t>(x));  // a uint64 keeps its bits
        bool negative = false;
        if constexpr (std::is_signed_v<T>) negative = x < 0;
        constexpr auto kOne = static_cast<unsigned>(-kSmallestExponent);
        return {negative ? 0 - bits : bits, kOne, negative, nearest_double(x)};
    } else if constexpr (std::is_same_v<T, float>) {
        return operand_of(widen(x));
    } else {
        return operand_of(plain(x));
    }
}

}  // namespace pyml
