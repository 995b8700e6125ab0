/// Adds two plain arrays to a pair, element by element.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "../operand.hpp"
#include "../pair.hpp"
#include "../product_block.hpp"
#include "plain_value.hpp"

namespace pyml {

/// Calls add(a, b) with the operands of each pair of elements from begin to begin + size.
template <class Add>
void for_each_pair(const PlainValue& a, const PlainValue& b, std::size_t begin, std::size_t size, Add add) noexcept {
    std::array<Operand, 128> first, second;  // small enough for the L1 cache
    for (const std::size_t end = begin + size; begin < end; begin += first.size()) {
        const std::size_t n = std::min(end - begin, first.size());
        a.read_operands(a.data, begin, n, first.data());
        b.read_operands(b.data, begin, n, second.data());
        for (std::size_t i = 0; i < n; ++i) add(first[i], second[i]);
    }
}

/// Adds one observation per element. `sum_a` and `sum_b` are the measures of the two arrays. If neither contains NaN,
/// they are merged, and only the products have to be computed. Precondition: both arrays have the same size.
inline void add_pair_array(Pair& pair, const PlainValue& a, const PlainValue& b, const Measure& sum_a,
                           const Measure& sum_b, Level level) noexcept {
    if (sum_a.n_nan() != UInt128{} || sum_b.n_nan() != UInt128{}) {
        return for_each_pair(a, b, 0, a.size, [&](const Operand& x, const Operand& y) { pair.add(x, y, 1); });
    }
    pair.add_complete(sum_a, sum_b);
    Measure products;
    std::array<double, kProductBlock> first, second;
    for (std::size_t begin = 0; begin < a.size; begin += kProductBlock) {
        const std::size_t size = std::min(a.size - begin, kProductBlock);
        const bool exact = a.read_doubles(a.data, begin, size, first.data()) &&
                           b.read_doubles(b.data, begin, size, second.data());
        if (exact && add_products(products, first.data(), second.data(), size, level)) continue;
        for_each_pair(a, b, begin, size, [&](const Operand& x, const Operand& y) { pair.add_product(x, y, 1); });
    }
    pair.add_sum_of_products(products.state().s1);
}

}  // namespace pyml
