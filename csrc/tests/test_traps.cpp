// Regression tests for typical faults of such kernels. Tests with a fresh state or one kind of data do not find them.

#include <algorithm>

#include "../measure.hpp"
#include "data.hpp"
#include "reference.hpp"
#include "test.hpp"

using namespace pyml;

namespace {

template <class Body>
void for_each_level(Body body) {
    for (const NamedLevel& entry : kLevels) {
        if (entry.level <= best_level()) body(entry.level);
    }
}

template <class T>
Measure::State sum(const std::vector<T>& values, Level level) {
    Measure measure;
    measure.add_array(values.data(), values.size(), level);
    return measure.state();
}

template <class T>
Measure::State sum_one_by_one(const std::vector<T>& values) {
    Measure measure;
    for (const T x : values) measure.add(static_cast<double>(x));
    return measure.state();
}

}  // namespace

TEST("arrays of mixed families and types, one after the other on one state") {
    for_each_level([](Level level) {
        Random random(31);
        Measure measure;
        Reference reference;
        for (int i = 0; i < 150; ++i) {
            const Family& family = families()[random() % families().size()];
            const std::vector<double> values = draw(family, random() % 700, random);
            if (i % 3 != 0) {
                measure.add_array(values.data(), values.size(), level);
                for (const double x : values) reference.add(x);
            } else {
                const std::vector<float> floats = as_floats(values);
                measure.add_array(floats.data(), floats.size(), level);
                for (const float x : floats) reference.add(static_cast<double>(x));
            }
            if (i % 10 == 0) CHECK(measure.state() == reference.state());
        }
        CHECK(measure.state() == reference.state());
    });
}

TEST("data that changes its range within one array, at any place in a block") {
    for_each_level([](Level level) {
        Random random(32);
        for (int round = 0; round < 30; ++round) {
            std::vector<double> values;
            while (values.size() < 4000) {
                const std::vector<double> run = draw(families()[random() % families().size()], random() % 1500, random);
                values.insert(values.end(), run.begin(), run.end());
            }
            CHECK(sum(values, level) == sum_one_by_one(values));
        }
    });
}

TEST("tiny values after huge ones, which moved the window, are not lost") {
    for_each_level([](Level level) {
        for (const int huge : {1, 60, 100, 500, 1000}) {
            for (const int tiny : {-1, -40, -60, -71, -101, -500, -1074}) {
                std::vector<double> values(2048, std::ldexp(1.0, huge));
                values.resize(4096, std::ldexp(1.0, tiny));
                values[1000] = std::ldexp(-1.0, tiny);
                CHECK(sum(values, level) == sum_one_by_one(values));
            }
        }
    });
}

TEST("values around either edge of the window, a few or many outliers among them") {
    for_each_level([](Level level) {
        Random random(35);
        Measure measure, expected;
        for (int round = 0; round < 200; ++round) {
            const int top = static_cast<int>(random() % 1900) - 950;
            const int depth = 1 + static_cast<int>(random() % 120);
            const auto outliers = static_cast<unsigned>(1 + random() % 60), digits = static_cast<unsigned>(random() % 53);
            std::vector<double> values(1 + random() % 3000);
            for (double& x : values) {
                const std::uint64_t significand = (std::uint64_t{1} << 52 | random() >> 12) >> digits;
                const bool is_outlier = chance(random, outliers);
                const int below = static_cast<int>(random() % static_cast<unsigned>(is_outlier ? depth : 4));
                x = std::ldexp(static_cast<double>(significand) * (chance(random, 2) ? 1 : -1), top - below - 53);
                if (is_outlier && chance(random, 5)) x = std::ldexp(x, static_cast<int>(random() % 300));
            }
            const std::vector<float> floats = as_floats(values);
            measure.add_array(values.data(), values.size(), level);
            measure.add_array(floats.data(), floats.size(), level);
            for (const double x : values) expected.add(x);
            for (const float x : floats) expected.add(static_cast<double>(x));
            CHECK(measure.state() == expected.state());
        }
    });
}

TEST("blocks of one value, of any length of significand and any place in the window, neither round nor overflow") {
    for_each_level([](Level level) {
        Random random(36);
        for (int round = 0; round < 300; ++round) {
            const unsigned digits = static_cast<unsigned>(random() % 53);
            const std::uint64_t significand = (std::uint64_t{1} << 52 | random() >> 12 | 1) >> digits << digits;
            const double x = std::ldexp(static_cast<double>(significand), -53 - static_cast<int>(random() % 25));
            std::vector<double> values(9000, chance(random, 2) ? x : -x);
            std::fill_n(values.begin(), 128, 0.99);  // these set the window
            if (chance(random, 2)) values[5000] = std::ldexp(x, -static_cast<int>(random() % 40));
            const std::vector<float> floats(values.begin(), values.end());
            const Measure::State exact = sum(values, Level::scalar), of_floats = sum(floats, Level::scalar);
            CHECK(sum(values, level) == exact);
            CHECK(sum(floats, level) == of_floats);
        }
    });
}

TEST("windows at every exponent that doubles and floats have") {
    for_each_level([](Level level) {
        Random random(34);
        for (int exponent = -1080; exponent <= 1024; ++exponent) {
            std::vector<double> values(32);
            for (double& x : values) x = std::ldexp(static_cast<double>(random() % 4095) - 2047, exponent - 11);
            const std::vector<float> floats = as_floats(values);
            CHECK(sum(values, level) == sum_one_by_one(values));
            CHECK(sum(floats, level) == sum_one_by_one(floats));
        }
    });
}

TEST("one bit at any distance below the others is kept") {
    for_each_level([](Level level) {
        for (int distance = 0; distance < 130; ++distance) {
            for (const double digits : {1.0, -3.0, 1 + 0x1p-52}) {
                std::vector<double> values(256, 1.0);
                values[200] = std::ldexp(digits, -distance);
                const std::vector<float> floats = as_floats(values);
                CHECK(sum(values, level) == sum_one_by_one(values));
                CHECK(sum(floats, level) == sum_one_by_one(floats));
            }
        }
    });
}

TEST("a single NaN, infinity or giant anywhere in a block is seen") {
    for_each_level([](Level level) {
        for (const double odd : {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::quiet_NaN(),
                                 HUGE_VAL, -HUGE_VAL, 1e200, -1e200, 1e30}) {
            for (std::size_t place = 0; place < 160; ++place) {
                std::vector<double> values(160, 0.7);
                values[place] = odd;
                const std::vector<float> floats = as_floats(values);
                CHECK(sum(values, level) == sum_one_by_one(values));
                CHECK(sum(floats, level) == sum_one_by_one(floats));
            }
        }
    });
}

#if PYML_X86_KERNELS

TEST("flush-to-zero, denormals-are-zero and rounding modes of the process change nothing, and stay as they were") {
    constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040, kRoundUp = 0x4000, kRoundDown = 0x2000;
    constexpr unsigned kInexactFlag = 0x0020;
    Random random(33);
    for (const Family& family : families()) {
        std::vector<double> values = draw(family, 1500, random);
        std::vector<float> floats = as_floats(values);
        for (std::size_t i = 0; i < floats.size(); i += 3) floats[i] = 1e-45F * static_cast<float>(i);
        std::vector<Float16> halves;
        for (unsigned bits = 0; bits < 1500; ++bits) halves.push_back({static_cast<std::uint16_t>(bits)});
        Reference reference;
        for (const double x : values) reference.add(x);
        for (const float x : floats) reference.add(static_cast<double>(x));
        for (const Float16 x : halves) reference.add(static_cast<double>(plain(x)));
        for (const double x : values) reference.add(x, 3);
        for_each_level([&](Level level) {
            for (const unsigned mode : {kFlushToZero | kDenormalsAreZero, kRoundUp, kRoundDown | kInexactFlag}) {
                Measure measure;
                const unsigned before = DefaultFloatingPointMode::kDefault | mode;
                _mm_setcsr(before);
                measure.add_array(values.data(), values.size(), level);
                measure.add_array(floats.data(), floats.size(), level);
                measure.add_array(halves.data(), halves.size(), level);
                const unsigned after = _mm_getcsr();
                for (const double x : values) measure.add_weighted(x, 3);
                const Measure::State state = measure.state();
                _mm_setcsr(DefaultFloatingPointMode::kDefault);
                CHECK(after == before);
                CHECK(state == reference.state());
            }
        });
    }
}

#endif

TEST("levels are named, ordered and found by name") {
    CHECK(level_named("avx2") == Level::avx2);
    CHECK(!level_named("AVX2") && !level_named(""));
    for (const NamedLevel& entry : kLevels) CHECK(level_named(level_name(entry.level)) == entry.level);
    CHECK(Level::scalar < Level::baseline && Level::avx2 < Level::avx512);
}
