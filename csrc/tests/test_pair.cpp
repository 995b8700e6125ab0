#include <cmath>
#include <limits>

#include "../pair.hpp"
#include "data.hpp"
#include "test.hpp"

using namespace pyml;

namespace {

/// The state of a pair whose measures are not looked at.
std::array<std::uint8_t, SquareSum::kBytes> products_of(const Pair& pair) { return pair.state().ab; }

}  // namespace

TEST("the product of a value with itself is its square, whatever the weight") {
    Random random(5);
    for (const Family& family : families()) {
        Pair pair;
        Measure measure;
        for (int i = 0; i < 300; ++i) {
            const double x = family.draw(random);
            const std::uint64_t weight = i % 3 == 0 ? 1 : random() % 1000 + 1;
            pair.add(operand_of(x), operand_of(x), weight);
            measure.add_weighted(x, weight);
        }
        CHECK(products_of(pair) == measure.state().s2);
        CHECK(pair.state().a.s1 == measure.state().s1 && pair.state().b.k == measure.state().k);
    }
}

TEST("opposite products cancel, also those of the largest integers") {
    Pair pair;
    pair.add(operand_of(std::uint64_t{UINT64_MAX}), operand_of(std::int64_t{INT64_MIN}), UINT64_MAX);
    CHECK(products_of(pair) != products_of(Pair()));
    pair.add(operand_of(std::uint64_t{UINT64_MAX}), operand_of(0x1p63), UINT64_MAX);
    CHECK(products_of(pair) == products_of(Pair()));
}

TEST("an operand of every type is the value") {
    CHECK(operand_of(Float16{0x0001}).nearest == 0x1p-24);
    CHECK(operand_of(BFloat16{0xbf80}).negative && operand_of(BFloat16{0xbf80}).nearest == -1.0);
    CHECK(operand_of(Bool{7}).significand == 1);
    CHECK(operand_of(std::int8_t{-128}).significand == 128 && operand_of(std::int8_t{-128}).negative);
    CHECK(operand_of(1e-45F).nearest == 0x1p-149);
}

TEST("a pair with a NaN is incomplete; one with an infinity has no product") {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    Pair pair;
    pair.add(operand_of(kNaN), operand_of(1.0), 3);
    pair.add(operand_of(1.0), operand_of(kNaN), 1);
    pair.add(operand_of(kInfinity), operand_of(-kInfinity), 2);
    const Pair::State state = pair.state();
    CHECK(state.nan == UInt128({2, 0}) && state.inf == UInt128({1, 0}));
    CHECK(state.a.k == UInt128({1, 0}) && state.b.n == UInt128({2, 0}));
    CHECK(state.a.posinf == UInt128({1, 0}) && state.b.neginf == UInt128({1, 0}));
    CHECK(products_of(pair) == products_of(Pair()));
}

TEST("pairs merge to what one pair holds, and a state leads back") {
    Random random(6);
    Pair whole;
    std::array<Pair, 3> shards;
    for (int i = 0; i < 5000; ++i) {
        const Operand a = operand_of(std::ldexp(static_cast<double>(random() % 999), static_cast<int>(random() % 400) - 200));
        const Operand b = operand_of(static_cast<std::int64_t>(random()));
        whole.add(a, b, 1);
        shards[random() % shards.size()].add(a, b, 1);
    }
    shards[0].merge(shards[1]);
    shards[0].merge(Pair::from_state(shards[2].state()));
    CHECK(products_of(shards[0]) == products_of(whole));
    CHECK(shards[0].state().a.s2 == whole.state().a.s2 && shards[0].state().b.min == whole.state().b.min);
}
