#include <algorithm>

#include "../measure.hpp"
#include "data.hpp"
#include "reference.hpp"
#include "test.hpp"

using namespace pyml;

namespace {

template <class T>
Measure::State sum(const T* data, std::size_t size, Level level) {
    Measure measure;
    measure.add_array(data, size, level);
    return measure.state();
}

template <class Body>
void for_each_level(Body body) {
    for (const NamedLevel& entry : kLevels) {
        if (entry.level <= best_level()) body(entry.level);
    }
}

/// Returns the value of a binary16 by the definition of IEEE 754.
double half_value(unsigned bits) {
    const double sign = bits >> 15 ? -1 : 1;
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const double fraction = bits & 1023;
    if (exponent == 31) return fraction != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * HUGE_VAL;
    return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

template <class Integer>
void check_integers() {
    Random random(21);
    std::vector<Integer> values(1000);
    for (Integer& x : values) x = static_cast<Integer>(random() >> random() % 64);
    values[0] = std::numeric_limits<Integer>::min();
    values[1] = std::numeric_limits<Integer>::max();
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{17}, values.size()}) {
        Reference reference;
        for (std::size_t i = 0; i < size; ++i) {
            const auto bits = static_cast<std::uint64_t>(values[i]);
            reference.add_integer(values[i] < 0 ? 0 - bits : bits, values[i] < 0, static_cast<double>(values[i]));
        }
        for_each_level([&](Level level) { CHECK(sum(values.data(), size, level) == reference.state()); });
    }
}

}  // namespace

TEST("every length up to 100 and every alignment, of doubles") {
    Random random(22);
    const std::vector<double> values = draw(families()[5], 120, random);
    for (std::size_t offset = 0; offset < 9; ++offset) {
        Reference reference;
        for (std::size_t size = 0; size <= 100; ++size) {
            const Measure::State expected = reference.state();
            for_each_level([&](Level level) { CHECK(sum(values.data() + offset, size, level) == expected); });
            reference.add(values[offset + size]);
        }
    }
}

TEST("every length up to 100 and every alignment, of floats") {
    Random random(23);
    std::vector<float> values(120);
    for (float& x : values) x = static_cast<float>(normal(random));
    for (std::size_t offset = 0; offset < 17; ++offset) {
        Reference reference;
        for (std::size_t size = 0; size <= 100; ++size) {
            const Measure::State expected = reference.state();
            for_each_level([&](Level level) { CHECK(sum(values.data() + offset, size, level) == expected); });
            reference.add(static_cast<double>(values[offset + size]));
        }
    }
}

TEST("arrays of doubles of every family, in several blocks, on every level") {
    Random random(24);
    for (const Family& family : families()) {
        for (const std::size_t size : {129U, 1024U, 5003U}) {
            const std::vector<double> values = draw(family, size, random);
            Reference reference;
            for (const double x : values) reference.add(x);
            for_each_level([&](Level level) { CHECK(sum(values.data(), size, level) == reference.state()); });
        }
    }
}

TEST("arrays of floats of every family, in several blocks, on every level") {
    Random random(25);
    for (const Family& family : families()) {
        for (const std::size_t size : {129U, 4096U, 9001U}) {
            const std::vector<float> values = as_floats(draw(family, size, random));
            Reference reference;
            for (const float x : values) reference.add(static_cast<double>(x));
            for_each_level([&](Level level) { CHECK(sum(values.data(), size, level) == reference.state()); });
        }
    }
}

TEST("long arrays, whose sums are stored several times, agree with value-by-value sums") {
    Random random(26);
    for (const Family& family : families()) {
        const std::vector<double> values = draw(family, 40000, random);
        const std::vector<float> floats = as_floats(values);
        const Measure::State expected = sum(values.data(), values.size(), Level::scalar);
        const Measure::State of_floats = sum(floats.data(), floats.size(), Level::scalar);
        for_each_level([&](Level level) {
            CHECK(sum(values.data(), values.size(), level) == expected);
            CHECK(sum(floats.data(), floats.size(), level) == of_floats);
        });
    }
}

TEST("blocks full of the largest magnitude that the window takes do not overflow") {
    for (const double x : {1.0, -1.0, 4.0, -4.0, std::nextafter(1.0, 0.0), std::nextafter(-4.0, 0.0)}) {
        std::vector<double> values(20000, x);
        std::fill_n(values.begin(), 128, std::nextafter(std::copysign(2.0, x), 0.0));  // the window becomes |x| <= 4
        const std::vector<float> floats(values.size(), static_cast<float>(x));
        const Measure::State expected = sum(values.data(), values.size(), Level::scalar);
        const Measure::State of_floats = sum(floats.data(), floats.size(), Level::scalar);
        for_each_level([&](Level level) {
            CHECK(sum(values.data(), values.size(), level) == expected);
            CHECK(sum(floats.data(), floats.size(), level) == of_floats);
        });
    }
}

TEST("each of the 65,536 binary16 numbers is read exactly") {
    std::vector<Float16> values;
    Reference reference;
    for (unsigned bits = 0; bits < 65536; ++bits) {
        values.push_back({static_cast<std::uint16_t>(bits)});
        const double x = static_cast<double>(plain(values.back()));
        CHECK(std::isnan(half_value(bits)) ? std::isnan(x) : x == half_value(bits));
        reference.add(half_value(bits));
    }
    for_each_level([&](Level level) { CHECK(sum(values.data(), values.size(), level) == reference.state()); });
}

TEST("each of the 65,536 bfloat16 numbers is the upper half of a float") {
    std::vector<BFloat16> values;
    Reference reference;
    for (unsigned bits = 0; bits < 65536; ++bits) {
        values.push_back({static_cast<std::uint16_t>(bits)});
        const std::uint32_t float_bits = bits << 16;
        float x = 0;
        std::memcpy(&x, &float_bits, sizeof x);
        reference.add(static_cast<double>(x));
    }
    for_each_level([&](Level level) { CHECK(sum(values.data(), values.size(), level) == reference.state()); });
}

TEST("every bool byte except zero counts as true") {
    const std::vector<Bool> values{{0}, {1}, {255}, {0}, {2}};
    Reference reference;
    for (const Bool x : values) reference.add(x.byte != 0 ? 1.0 : 0.0);
    for_each_level([&](Level level) { CHECK(sum(values.data(), values.size(), level) == reference.state()); });
}

TEST("integers of every width are read exactly") {
    check_integers<std::int8_t>();
    check_integers<std::int16_t>();
    check_integers<std::int32_t>();
    check_integers<std::int64_t>();
    check_integers<std::uint8_t>();
    check_integers<std::uint16_t>();
    check_integers<std::uint32_t>();
    check_integers<std::uint64_t>();
}
