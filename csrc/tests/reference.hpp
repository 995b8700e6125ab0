/// The expected state of a Measure, computed by long arithmetic on two's-complement integers. It shares no code with
/// the meter: doubles are decoded with frexp, and products are composed from 32-bit multiplications.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "../measure.hpp"

/// A two's-complement integer of 5,120 bits, least significant word first.
class BigInteger {
public:
    BigInteger() = default;
    explicit BigInteger(std::uint64_t value) {
        words_[0] = static_cast<std::uint32_t>(value);
        words_[1] = static_cast<std::uint32_t>(value >> 32);
    }

    BigInteger operator-() const {
        BigInteger result;
        std::uint64_t carry = 1;
        for (std::size_t i = 0; i < kWords; ++i) {
            carry += static_cast<std::uint32_t>(~words_[i]);
            result.words_[i] = static_cast<std::uint32_t>(carry);
            carry >>= 32;
        }
        return result;
    }

    BigInteger operator+(const BigInteger& other) const {
        BigInteger result;
        std::uint64_t carry = 0;
        for (std::size_t i = 0; i < kWords; ++i) {
            carry += std::uint64_t{words_[i]} + other.words_[i];
            result.words_[i] = static_cast<std::uint32_t>(carry);
            carry >>= 32;
        }
        return result;
    }

    /// Precondition: the number is not negative.
    BigInteger operator*(std::uint64_t factor) const {
        BigInteger low = times32(static_cast<std::uint32_t>(factor));
        BigInteger high = times32(static_cast<std::uint32_t>(factor >> 32));
        return low + high.shifted(32);
    }

    [[nodiscard]] BigInteger shifted(int bits) const {
        const auto words = static_cast<std::size_t>(bits / 32);
        BigInteger result;
        for (std::size_t i = words; i < kWords; ++i) {
            const std::uint64_t lower = i > words ? words_[i - words - 1] : 0;
            const std::uint64_t both = std::uint64_t{words_[i - words]} << 32 | lower;
            result.words_[i] = static_cast<std::uint32_t>(both >> (32 - bits % 32));
        }
        return result;
    }

    [[nodiscard]] std::uint64_t low64() const { return std::uint64_t{words_[1]} << 32 | words_[0]; }
    [[nodiscard]] std::uint64_t high64() const { return std::uint64_t{words_[3]} << 32 | words_[2]; }

    template <std::size_t kBytes>
    [[nodiscard]] std::array<std::uint8_t, kBytes> bytes() const {
        std::array<std::uint8_t, kBytes> result;
        for (std::size_t i = 0; i < kBytes; ++i) result[i] = static_cast<std::uint8_t>(words_[i / 4] >> (8 * (i % 4)));
        return result;
    }

private:
    static constexpr std::size_t kWords = 160;

    [[nodiscard]] BigInteger times32(std::uint32_t factor) const {
        BigInteger result;
        std::uint64_t carry = 0;
        for (std::size_t i = 0; i < kWords; ++i) {
            carry += std::uint64_t{words_[i]} * factor;
            result.words_[i] = static_cast<std::uint32_t>(carry);
            carry >>= 32;
        }
        return result;
    }

    std::array<std::uint32_t, kWords> words_{};
};

/// The expected state of a measure, updated one observation at a time.
struct Reference {
    BigInteger s1, s2, k, n;
    std::uint64_t nan = 0, posinf = 0, neginf = 0;
    double min = std::numeric_limits<double>::infinity();
    double max = -std::numeric_limits<double>::infinity();

    void add(double x, std::uint64_t weight = 1) {
        if (std::isnan(x)) {
            ++nan;
            return;
        }
        count(x, weight);
        if (std::isinf(x)) {
            ++(x > 0 ? posinf : neginf);
            return;
        }
        int exponent = 0;
        const double fraction = std::frexp(std::fabs(x), &exponent);  // x = fraction * 2^exponent, 0.5 <= fraction < 1
        auto magnitude = static_cast<std::uint64_t>(std::ldexp(fraction, 53));
        exponent -= 53;
        while (exponent < -1074 && magnitude != 0) {  // subnormals
            magnitude >>= 1;
            ++exponent;
        }
        add_product(magnitude, magnitude == 0 ? 0 : exponent + 1074, x < 0, weight);
    }

    void add_integer(std::uint64_t magnitude, bool negative, double nearest, std::uint64_t weight = 1) {
        count(nearest, weight);
        add_product(magnitude, 1074, negative, weight);
    }

    [[nodiscard]] pyml::Measure::State state() const {
        pyml::Measure::State state;
        state.s1 = s1.bytes<pyml::ValueSum::kBytes>();
        state.s2 = s2.bytes<pyml::SquareSum::kBytes>();
        state.k = {k.low64(), 0};
        state.n = {n.low64(), n.high64()};
        state.nan = {nan, 0};
        state.posinf = {posinf, 0};
        state.neginf = {neginf, 0};
        state.min = min;
        state.max = max;
        return state;
    }

private:
    void count(double x, std::uint64_t weight) {
        k = k + BigInteger(1);
        n = n + BigInteger(weight);
        min = std::fmin(min, x);
        max = std::fmax(max, x);
    }

    void add_product(std::uint64_t magnitude, int shift, bool negative, std::uint64_t weight) {
        const BigInteger value = (BigInteger(magnitude) * weight).shifted(shift);
        s1 = s1 + (negative ? -value : value);
        s2 = s2 + (BigInteger(magnitude) * magnitude * weight).shifted(2 * shift);
    }
};

/// Returns whether two states are equal in every field. -0 and +0 count as equal.
inline bool operator==(const pyml::Measure::State& a, const pyml::Measure::State& b) {
    const bool same_extremes = a.k == pyml::UInt128{} || (a.min == b.min && a.max == b.max);
    return a.s1 == b.s1 && a.s2 == b.s2 && a.k == b.k && a.n == b.n && a.nan == b.nan && a.posinf == b.posinf &&
           a.neginf == b.neginf && same_extremes;
}
