/// Adds two plain arrays to a pair, element by element.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "../operand.hpp"
#include "../pair.hpp"
#include "plain_value.hpp"

namespace pyml {

/// Adds one observation per element. `sum_a` and `sum_b` are the measures of the two arrays: if they had no NaN, only
/// the products are left to do. Precondition: two arrays of one size.
inline void add_pair_array(Pair& pair, const PlainValue& a, const PlainValue& b, const Measure& sum_a,
                           const Measure& sum_b) noexcept {
    const bool is_complete = sum_a.n_nan() == UInt128{} && sum_b.n_nan() == UInt128{};
    if (is_complete) pair.add_complete(sum_a, sum_b);
    std::array<Operand, 128> first, second;  // small enough for the fastest cache
    for (std::size_t begin = 0; begin < a.size; begin += first.size()) {
        const std::size_t size = std::min(a.size - begin, first.size());
        a.read_operands(a.data, begin, size, first.data());
        b.read_operands(b.data, begin, size, second.data());
        if (is_complete) {
            for (std::size_t i = 0; i < size; ++i) pair.add_product(first[i], second[i], 1);
        } else {
            for (std::size_t i = 0; i < size; ++i) pair.add(first[i], second[i], 1);
        }
    }
}

}  // namespace pyml
