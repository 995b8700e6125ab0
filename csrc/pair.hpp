/// The state of a pair of measures: both measures over the complete observations, and the sum of the products.
///
/// An observation of a pair consists of two values. It is complete if neither value is NaN.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "exact_sum.hpp"
#include "measure.hpp"
#include "operand.hpp"
#include "wide_int.hpp"

namespace pyml {

class Pair {
public:
    /// Adds one observation; both values are means of `weight` samples. Precondition: weight >= 1.
    void add(const Operand& a, const Operand& b, std::uint64_t weight) noexcept {
        if (a.is_nan() || b.is_nan()) return n_incomplete_.add(1);
        a_.add(a, weight);
        b_.add(b, weight);
        add_product(a, b, weight);
    }

    /// Adds the measures of observations that are all complete. The caller must add their products separately.
    void add_complete(const Measure& a, const Measure& b) noexcept {
        a_.merge(a);
        b_.merge(b);
    }

    /// Adds weight * a * b. Precondition: neither is NaN.
    void add_product(const Operand& a, const Operand& b, std::uint64_t weight) noexcept {
        if (!a.is_finite() || !b.is_finite()) return n_infinite_.add(1);
        const UInt128 product = multiply(a.significand, b.significand);
        const unsigned shift = a.shift + b.shift;
        const bool negative = a.negative != b.negative;
        if (weight == 1) return products_.add(limbs(product), shift, negative);
        products_.add(multiply(product, weight), shift, negative);
    }

    /// Adds a sum of products, given as a little-endian integer in units of 2^-1074. Products are stored in units of
    /// 2^-2148, so the integer is shifted left by 1074 bits.
    void add_sum_of_products(const std::array<std::uint8_t, ValueSum::kBytes>& sum) noexcept {
        constexpr std::size_t kShift = -ValueSum::kUnit, kWhole = kShift / 8, kBits = kShift % 8;
        static_assert(kBits != 0 && ValueSum::kBytes + kWhole < SquareSum::kBytes);
        const bool negative = (sum.back() & 0x80) != 0;
        std::array<std::uint8_t, SquareSum::kBytes> shifted{};
        for (std::size_t i = kWhole; i < shifted.size(); ++i) {
            const auto byte = [&](std::size_t j) -> unsigned {
                return j < sum.size() ? sum[j] : negative ? 0xffU : 0U;
            };
            const unsigned lower = i == kWhole ? 0U : byte(i - kWhole - 1);
            shifted[i] = static_cast<std::uint8_t>((byte(i - kWhole) << kBits | lower >> (8 - kBits)) & 0xffU);
        }
        products_.merge(SquareSum::from_bytes(shifted));
    }

    /// Adds the observations of other. Merging is associative and commutative, and Pair{} is its identity.
    void merge(const Pair& other) noexcept {
        a_.merge(other.a_);
        b_.merge(other.b_);
        products_.merge(other.products_);
        n_incomplete_.add(other.n_incomplete_);
        n_infinite_.add(other.n_infinite_);
    }

    /// The complete state. It does not depend on the order of the updates.
    struct State {
        Measure::State a, b;                                  ///< over complete observations
        std::array<std::uint8_t, SquareSum::kBytes> ab{};     ///< Σ w·a·b where both are finite, in units of 2^-2148
        UInt128 nan;                                          ///< incomplete observations
        UInt128 inf;                                          ///< complete observations with an infinity
    };

    [[nodiscard]] State state() const noexcept {
        return {a_.state(), b_.state(), products_.to_bytes(), n_incomplete_, n_infinite_};
    }

    /// The inverse of state(). Precondition: some sequence of updates can produce the state.
    [[nodiscard]] static Pair from_state(const State& state) noexcept {
        Pair pair;
        pair.a_ = Measure::from_state(state.a);
        pair.b_ = Measure::from_state(state.b);
        pair.products_ = SquareSum::from_bytes(state.ab);
        pair.n_incomplete_ = state.nan;
        pair.n_infinite_ = state.inf;
        return pair;
    }

private:
    Measure a_, b_;
    SquareSum products_;  // fits, because |Σ w·a·b| is at most the larger of Σ w·a² and Σ w·b²
    UInt128 n_incomplete_, n_infinite_;
};

}  // namespace pyml
