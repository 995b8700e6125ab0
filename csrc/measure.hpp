/// The state of one measure: exact sums, counts and extremes. It takes constant memory.
///
/// An observation is a value x that is the mean of w samples. Nothing is rounded here. Means, errors and other results
/// are computed from the integers of the state in Python, by code that both engines share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "block_sum.hpp"
#include "exact_sum.hpp"
#include "float_bits.hpp"
#include "operand.hpp"
#include "simd.hpp"
#include "wide_int.hpp"

namespace pyml {

class Measure {
public:
    /// Adds one observation of one sample. NaN and infinities are counted separately and are not part of the sums.
    void add(double x) noexcept {
        if (!is_finite(x)) return add_non_finite(x, 1);
        count(1, order_key(x));
        const Decoded d = decode(x);
        values_.add(d.significand, d.shift, d.negative);
        squares_.add_square(d.significand, 2 * d.shift);
    }

    /// Adds one observation that is the mean of weight samples. Precondition: weight >= 1.
    void add_weighted(double x, std::uint64_t weight) noexcept {
        if (!is_finite(x)) return add_non_finite(x, weight);
        count(weight, order_key(x));
        const Decoded d = decode(x);
        add_product(d.significand, d.shift, d.negative, weight);
    }

    /// Adds one observation of any element type. An integer beyond 2^53 is added to the sums exactly; min and max use
    /// the nearest double.
    void add(const Operand& x, std::uint64_t weight) noexcept {
        if (!x.is_finite()) return add_non_finite(x.nearest, weight);
        count(weight, order_key(x.nearest));
        add_product(x.significand, x.shift, x.negative, weight);
    }

    /// Adds each element as one observation. T is double, float, Float16, BFloat16, Bool or an integer of 8 to 64 bits,
    /// in native byte order. Precondition: the processor supports the level.
    template <class T>
    void add_array(const T* data, std::size_t size, Level level) noexcept;

    /// Adds the observations of other. Merging is associative and commutative, and Measure{} is its identity.
    void merge(const Measure& other) noexcept {
        values_.merge(other.values_);
        squares_.merge(other.squares_);
        n_observations_.add(other.n_observations_);
        n_more_samples_.add(other.n_more_samples_);
        n_nan_.add(other.n_nan_);
        n_posinf_.add(other.n_posinf_);
        n_neginf_.add(other.n_neginf_);
        if (other.min_key_ < min_key_) min_key_ = other.min_key_;
        if (other.max_key_ > max_key_) max_key_ = other.max_key_;
    }

    [[nodiscard]] UInt128 n_samples() const noexcept {
        UInt128 n = n_observations_;
        n.add(n_more_samples_);
        return n;
    }
    [[nodiscard]] UInt128 n_nan() const noexcept { return n_nan_; }

    /// The complete state. It does not depend on the order of the updates.
    struct State {
        std::array<std::uint8_t, ValueSum::kBytes> s1{};    ///< Σ w·x in units of 2^-1074, two's complement
        std::array<std::uint8_t, SquareSum::kBytes> s2{};   ///< Σ w·x² in units of 2^-2148, likewise
        UInt128 k;                                          ///< number of observations, with infinities, without NaN
        UInt128 n;                                          ///< number of samples in these observations, Σ w
        UInt128 nan, posinf, neginf;                        ///< numbers of observations that were not finite
        double min = 0, max = 0;                            ///< extremes without NaN; meaningless if k is 0
    };

    [[nodiscard]] State state() const noexcept {
        return {values_.to_bytes(), squares_.to_bytes(), n_observations_, n_samples(), n_nan_, n_posinf_, n_neginf_,
                from_order_key(min_key_), from_order_key(max_key_)};
    }

    /// The inverse of state(). Preconditions: some sequence of updates can produce the state; min and max are not NaN
    /// unless k is 0.
    [[nodiscard]] static Measure from_state(const State& state) noexcept {
        Measure measure;
        measure.values_ = ValueSum::from_bytes(state.s1);
        measure.squares_ = SquareSum::from_bytes(state.s2);
        measure.n_observations_ = state.k;
        measure.n_more_samples_ = state.n;
        measure.n_more_samples_.subtract(state.k);
        measure.n_nan_ = state.nan;
        measure.n_posinf_ = state.posinf;
        measure.n_neginf_ = state.neginf;
        if (state.k != UInt128{}) {
            measure.min_key_ = order_key(state.min);
            measure.max_key_ = order_key(state.max);
        }
        return measure;
    }

private:
    template <class T>
    friend class BlockAdder;

    void include(std::int64_t key) noexcept {
        if (key < min_key_) min_key_ = key;
        if (key > max_key_) max_key_ = key;
    }

    /// Adds the sums that a kernel computed from `size` values.
    void add_block(const BlockSums& sums, std::size_t size) noexcept {
        n_observations_.add(size);
        include(order_key(sums.min));
        include(order_key(sums.max));
        for (const Partial& partial : sums.values) add_partial(values_, partial);
        for (const Partial& partial : sums.squares) add_partial(squares_, partial);
    }

    template <class Sum>
    static void add_partial(Sum& sum, const Partial& partial) noexcept {
        if (partial.sum == 0) return;
        const bool negative = partial.sum < 0;
        const auto bits = static_cast<std::uint64_t>(partial.sum);
        sum.add(limbs(negative ? 0 - bits : bits), static_cast<unsigned>(partial.exponent - Sum::kUnit), negative);
    }

    void count(std::uint64_t weight, std::int64_t key) noexcept {
        n_observations_.add(1);
        if (weight != 1) n_more_samples_.add(weight - 1);
        include(key);
    }

    void add_non_finite(double x, std::uint64_t weight) noexcept {
        if (is_nan(x)) return n_nan_.add(1);
        count(weight, order_key(x));
        (x > 0 ? n_posinf_ : n_neginf_).add(1);
    }

    /// Adds weight * x to Σ w·x, and weight * x² to Σ w·x², for x = ±magnitude * 2^(shift - 1074).
    void add_product(std::uint64_t magnitude, unsigned shift, bool negative, std::uint64_t weight) noexcept {
        values_.add(limbs(multiply(magnitude, weight)), shift, negative);
        squares_.add(multiply(multiply(magnitude, magnitude), weight), 2 * shift, false);
    }

    template <class Integer>
    void add_integers(const Integer* data, std::size_t size) noexcept;

    ValueSum values_;
    SquareSum squares_;
    UInt128 n_observations_;
    UInt128 n_more_samples_;  // Σ (w - 1): most observations have weight 1 and need no update of it
    UInt128 n_nan_, n_posinf_, n_neginf_;
    std::int64_t min_key_ = INT64_MAX;  // order_key() of the extremes; without observations, keys that only NaN has
    std::int64_t max_key_ = INT64_MIN;
};

static_assert(sizeof(Measure) <= 4096, "a measure takes at most 4 KiB");

}  // namespace pyml

#include "measure_array.hpp"  // add_array
