/// Exact sums of doubles and of their squares, kept as fixed-point integers that are wide enough for every finite
/// double.
///
/// A sum is an array of digits in base 2^32. Each digit is stored in an int64, and carries are propagated only when a
/// digit could overflow. Adding a value therefore changes two digits only, and adding a square four. Nothing is
/// rounded, so the result does not depend on the order of the additions.
/// Sources: Neal 2015, "Fast exact summation using small and large superaccumulators", arXiv:1505.05571; the long
/// fixed-point accumulator was proposed by Kulisch.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "wide_int.hpp"

namespace pyml {

/// A signed integer of kSize digits, in units of 2^-kFractionBits.
template <int kFractionBits, std::size_t kSize>
class ExactSum {
public:
    static constexpr int kUnit = -kFractionBits;        ///< the sum is an integer multiple of 2^kUnit
    static constexpr std::size_t kBytes = 4 * kSize;    ///< size of the result of to_bytes()

    /// Adds ±significand * 2^(shift + kUnit). Precondition: significand < 2^53.
    void add(std::uint64_t significand, unsigned shift, bool negative) noexcept {
        begin_addition();
        std::int64_t* digit = &digits_[shift / 32];
        shift %= 32;
        const Sign sign{negative};
        add_to(digit[0], sign.of((significand << shift) & kDigitMask));
        add_to(digit[1], sign.of(significand >> (32 - shift)));
    }

    /// Adds significand^2 * 2^(shift + kUnit). Precondition: significand < 2^53.
    void add_square(std::uint64_t significand, unsigned shift) noexcept {
        begin_addition();
        std::int64_t* digit = &digits_[shift / 32];
        shift %= 32;
        const UInt128 square = multiply(significand, significand);  // below 2^106
        const std::uint64_t middle = square.low >> (32 - shift);
        add_to(digit[0], static_cast<std::int64_t>((square.low << shift) & kDigitMask));
        add_to(digit[1], static_cast<std::int64_t>(middle & kDigitMask));
        add_to(digit[2], static_cast<std::int64_t>((middle >> 32) | ((square.high << shift) & kDigitMask)));
        add_to(digit[3], static_cast<std::int64_t>(square.high >> (32 - shift)));
    }

    /// Adds ±value * 2^(shift + kUnit). Precondition: shift / 32 + kLimbs < kSize, so that the last carry has a digit.
    template <std::size_t kLimbs>
    void add(const Limbs<kLimbs>& value, unsigned shift, bool negative) noexcept {
        begin_addition();
        std::int64_t* digit = &digits_[shift / 32];
        shift %= 32;
        const Sign sign{negative};
        for (std::size_t i = 0; i < kLimbs; ++i) {
            const std::uint64_t shifted = static_cast<std::uint64_t>(value[i]) << shift;
            add_to(digit[i], sign.of(shifted & kDigitMask));
            add_to(digit[i + 1], sign.of(shifted >> 32));
        }
    }

    /// Adds other's value. Merging is associative and commutative, and ExactSum{} is its identity. Carries are
    /// propagated only if the digits could overflow. A normalised digit of other is below 2^32, which is less than the
    /// largest single addition, so it counts as one addition.
    void merge(const ExactSum& other) noexcept {
        const bool is_full = pending_ + other.pending_ >= kMaxPending;
        if (is_full) settle_carries();
        for (std::size_t i = 0; i < kSize; ++i) digits_[i] += other.digits_[i];
        if (is_full) return settle_carries();
        pending_ += other.pending_ + 1;
    }

    /// Returns the sum in units of 2^kUnit, as a little-endian two's-complement integer of kBytes bytes.
    [[nodiscard]] std::array<std::uint8_t, kBytes> to_bytes() const noexcept {
        std::array<std::uint8_t, kBytes> bytes;
        std::int64_t carry = 0;
        for (std::size_t i = 0; i < kSize; ++i) {
            const std::int64_t digit = digits_[i] + carry;
            carry = carry_of(digit);
            const auto low = static_cast<std::uint32_t>(static_cast<std::uint64_t>(digit) & kDigitMask);
            for (std::size_t j = 0; j < 4; ++j) bytes[4 * i + j] = static_cast<std::uint8_t>(low >> (8 * j));
        }
        return bytes;
    }

    /// The inverse of to_bytes().
    [[nodiscard]] static ExactSum from_bytes(const std::array<std::uint8_t, kBytes>& bytes) noexcept {
        ExactSum sum;
        for (std::size_t i = 0; i < kBytes; ++i) sum.digits_[i / 4] += std::int64_t{bytes[i]} << (8 * (i % 4));
        if (bytes[kBytes - 1] & 0x80) sum.digits_[kSize - 1] -= std::int64_t{1} << 32;
        return sum;
    }

private:
    static constexpr std::uint64_t kDigitMask = 0xffffffff;

    /// The largest addition adds 52 bits to a digit (53 bits shifted by 31, less the lower 32 bits), and a normalised
    /// digit is below 2^32. So 2^11 - 1 additions cannot overflow an int64.
    static constexpr std::uint32_t kMaxPending = (1U << 11) - 1;

    /// Applies a sign without a branch.
    struct Sign {
        std::int64_t mask;
        explicit Sign(bool negative) noexcept : mask(-static_cast<std::int64_t>(negative)) {}
        [[nodiscard]] std::int64_t of(std::uint64_t magnitude) const noexcept {
            return (static_cast<std::int64_t>(magnitude) ^ mask) - mask;
        }
    };

    static void add_to(std::int64_t& digit, std::int64_t value) noexcept {
        digit += value;
#ifdef __GNUC__
        // Without this barrier GCC updates two digits by one vector instruction. Its load must wait for the separate
        // stores of the previous addition if the two overlap only in part: 8 ns per addition instead of 5.
        asm("" : "+m"(digit));
#endif
    }

    void begin_addition() noexcept {
        if (pending_ == kMaxPending) settle_carries();
        ++pending_;
    }

    /// Returns floor(digit / 2^32). In C++17 the right shift of a negative number is implementation-defined; all
    /// supported compilers use the arithmetic shift that C++20 requires.
    static std::int64_t carry_of(std::int64_t digit) noexcept { return digit >> 32; }

    /// Propagates the carries: every digit but the last is then in [0, 2^32). The last digit keeps the sign.
    void settle_carries() noexcept {
        std::int64_t carry = 0;
        for (std::size_t i = 0; i + 1 < kSize; ++i) {
            const std::int64_t digit = digits_[i] + carry;
            digits_[i] = digit & static_cast<std::int64_t>(kDigitMask);
            carry = carry_of(digit);
        }
        digits_[kSize - 1] += carry;
        pending_ = 0;
    }

    std::array<std::int64_t, kSize> digits_{};
    std::uint32_t pending_ = 0;  // additions since carries were last propagated
};

/// The sum Σ w·x. A finite double is below 2^2098 units. With Σ w below 2^128 the sum is below 2^2226, which fits into
/// 70 digits.
using ValueSum = ExactSum<1074, 70>;

/// The sum Σ w·x². A square is below 2^4196 units. With Σ w below 2^128 the sum is below 2^4324, which fits into 136
/// digits.
using SquareSum = ExactSum<2148, 136>;

}  // namespace pyml
