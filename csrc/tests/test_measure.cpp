#include "../measure.hpp"
#include "data.hpp"
#include "reference.hpp"
#include "test.hpp"

using namespace pyml;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kMax = std::numeric_limits<double>::max();

}  // namespace

TEST("merging with an empty measure changes nothing") {
    Measure measure;
    measure.add(0.3);
    const Measure::State before = measure.state();
    measure.merge(Measure());
    CHECK(measure.state() == before);
    Measure other;
    other.merge(measure);
    CHECK(other.state() == before);
    Measure nothing;
    nothing.merge(Measure());
    CHECK(nothing.state().k == UInt128{});
}

TEST("single observations, weighted or not, give the exact state") {
    Random random(11);
    for (const Family& family : families()) {
        Measure measure;
        Reference reference;
        for (int i = 0; i < 500; ++i) {
            const double x = family.draw(random);
            const std::uint64_t weight = i % 3 == 0 ? 1 : random() >> random() % 64 | 1;
            if (i % 2 == 0) {
                measure.add(x);
                reference.add(x);
            } else {
                measure.add_weighted(x, weight);
                reference.add(x, weight);
            }
        }
        CHECK(measure.state() == reference.state());
    }
}

TEST("a weight counts like that many observations in every sum, but as one observation") {
    Measure weighted, repeated;
    weighted.add_weighted(-0.1, 1000);
    for (int i = 0; i < 1000; ++i) repeated.add(-0.1);
    CHECK(weighted.state().s1 == repeated.state().s1);
    CHECK(weighted.state().s2 == repeated.state().s2);
    CHECK(weighted.state().n == repeated.state().n);
    CHECK(weighted.state().k == UInt128({1, 0}));
}

TEST("integers beyond 2^53 are read exactly") {
    Measure measure;
    Reference reference;
    const std::vector<std::int64_t> integers{INT64_MIN, INT64_MIN + 1, -1, 0, INT64_MAX - 1, INT64_MAX};
    for (const std::int64_t x : integers) {
        const std::uint64_t magnitude = x < 0 ? 0 - static_cast<std::uint64_t>(x) : static_cast<std::uint64_t>(x);
        measure.add(operand_of(x), 1);
        measure.add(operand_of(x), UINT64_MAX);
        reference.add_integer(magnitude, x < 0, static_cast<double>(x));
        reference.add_integer(magnitude, x < 0, static_cast<double>(x), UINT64_MAX);
    }
    measure.add(operand_of(std::uint64_t{UINT64_MAX}), UINT64_MAX);
    reference.add_integer(UINT64_MAX, false, 0x1p64, UINT64_MAX);
    CHECK(measure.state() == reference.state());
}

TEST("a NaN is only counted; an infinity is an observation that is not summed") {
    Measure measure;
    measure.add(kNaN);
    measure.add_weighted(-kNaN, 5);
    CHECK(measure.state().nan == UInt128({2, 0}));
    CHECK(measure.state().k == UInt128{});
    CHECK(measure.state().n == UInt128{});
    measure.add(kInfinity);
    measure.add_weighted(-kInfinity, 5);
    const Measure::State state = measure.state();
    CHECK(state.k == UInt128({2, 0}) && state.n == UInt128({6, 0}));
    CHECK(state.posinf == UInt128({1, 0}) && state.neginf == UInt128({1, 0}));
    CHECK(state.min == -kInfinity && state.max == kInfinity);
    CHECK(state.s1 == Measure().state().s1 && state.s2 == Measure().state().s2);
}

TEST("a zero minimum or maximum is +0, for either sign and any order") {
    for (const bool minus_first : {false, true}) {
        Measure measure;
        measure.add(minus_first ? -0.0 : 0.0);
        measure.add(minus_first ? 0.0 : -0.0);
        CHECK(bits_of(measure.state().min) == 0 && bits_of(measure.state().max) == 0);
    }
}

TEST("a state can be written, read again and continued") {
    Random random(12);
    for (const Family& family : families()) {
        Measure measure;
        for (int i = 0; i < 300; ++i) measure.add_weighted(family.draw(random), random() % 1000 + 1);
        Measure back = Measure::from_state(measure.state());
        CHECK(back.state() == measure.state());
        for (int i = 0; i < 300; ++i) {
            const double x = family.draw(random);
            back.add(x);
            measure.add(x);
        }
        CHECK(back.state() == measure.state());
    }
}

TEST("2^60 updates of the largest value and weight lose no carry") {
    constexpr std::uint64_t kUpdates = std::uint64_t{1} << 60;
    Reference one;
    one.add(-kMax, UINT64_MAX);
    Measure::State state = one.state();
    state.s1 = (-(-one.s1 * kUpdates)).bytes<ValueSum::kBytes>();
    state.s2 = (one.s2 * kUpdates).bytes<SquareSum::kBytes>();
    state.k = {kUpdates, 0};
    state.n = multiply(UINT64_MAX, kUpdates);

    Measure measure = Measure::from_state(state);
    for (int i = 0; i < 5000; ++i) measure.add_weighted(-kMax, UINT64_MAX);
    measure.merge(measure);

    const std::uint64_t total = 2 * (kUpdates + 5000);
    const Measure::State after = measure.state();
    CHECK(after.s1 == (-(-one.s1 * total)).bytes<ValueSum::kBytes>());
    CHECK(after.s2 == (one.s2 * total).bytes<SquareSum::kBytes>());
    CHECK(after.k == UInt128({total, 0}));
    CHECK(after.n == multiply(UINT64_MAX, total));
}

TEST("counts carry beyond 64 bits") {
    Measure::State state;
    state.k = state.n = state.nan = state.posinf = state.neginf = {UINT64_MAX, 1};
    Measure measure = Measure::from_state(state);
    for (const double x : {kNaN, kInfinity, -kInfinity}) measure.add(x);
    const Measure::State after = measure.state();
    CHECK(after.nan == UInt128({0, 2}) && after.posinf == UInt128({0, 2}) && after.neginf == UInt128({0, 2}));
    CHECK(after.k == UInt128({1, 2}) && after.n == UInt128({1, 2}));
}

TEST("any tree of merges gives the state of one long sequence") {
    Random random(13);
    for (int round = 0; round < 20; ++round) {
        std::vector<Measure> shards(1 + random() % 16);
        Measure whole;
        for (int i = 0; i < 2000; ++i) {
            const double x = families()[random() % families().size()].draw(random);
            const std::uint64_t weight = random() % 5 + 1;
            shards[random() % shards.size()].add_weighted(x, weight);
            whole.add_weighted(x, weight);
        }
        while (shards.size() > 1) {
            const std::size_t from = random() % shards.size();
            std::swap(shards[from], shards.back());
            shards[random() % (shards.size() - 1)].merge(shards.back());
            shards.pop_back();
        }
        CHECK(shards[0].state() == whole.state());
    }
}

TEST("a measure takes at most 4 KiB") { CHECK(sizeof(Measure) <= 4096); }
