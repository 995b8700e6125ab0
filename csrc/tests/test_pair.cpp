#include <cmath>
#include <limits>

#include "../pair.hpp"
#include "../product_block.hpp"
#include "data.hpp"
#include "test.hpp"

using namespace pyml;

namespace {

/// The state of a pair for tests that ignore its two measures.
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

TEST("a sum of products in blocks is the sum one by one, at every level that has blocks") {
    Random random(7);
    for (const double decades : {1.0, 100.0}) {
        for (const Level level : {Level::avx2, Level::avx512}) {
            if (level > best_level()) continue;
            Pair blocks, single;
            Measure sums;
            for (int round = 0; round < 20; ++round) {
                std::array<double, 700> a, b;
                for (double& x : a) x = chance(random, 20) ? 0.0 : log_uniform(random, decades);
                for (double& x : b) x = log_uniform(random, decades);
                CHECK(add_products(sums, a.data(), b.data(), a.size(), level));
                for (std::size_t i = 0; i < a.size(); ++i) single.add_product(operand_of(a[i]), operand_of(b[i]), 1);
            }
            blocks.add_sum_of_products(sums.state().s1);
            CHECK(products_of(blocks) == products_of(single));
        }
    }
}

TEST("a block whose products might under- or overflow is left to the scalar code") {
    if (best_level() < Level::avx2) return;
    for (const double bad : {1e-130, 1e130, 5e-324, std::numeric_limits<double>::infinity(), std::nan("")}) {
        const std::array<double, 2> values{1.0, bad}, ones{1.0, 1.0};
        Measure sums;
        CHECK(!add_products(sums, values.data(), ones.data(), 2, Level::avx2));
        CHECK(!add_products(sums, ones.data(), values.data(), 2, Level::avx2));
        CHECK(sums.state().k == UInt128{});
    }
}

TEST("an operand of every type has its exact value") {
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

TEST("merged pairs equal one pair of all observations, and a pair can be read from its state") {
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
