#include "../exact_sum.hpp"
#include "data.hpp"
#include "reference.hpp"
#include "test.hpp"

using namespace pyml;

namespace {

constexpr std::uint64_t kLargest = (std::uint64_t{1} << 53) - 1;  // largest significand
constexpr unsigned kMany = 10000;  // over four times the additions after which carries must be propagated

auto bytes_of_values(const BigInteger& x) { return x.bytes<ValueSum::kBytes>(); }
auto bytes_of_squares(const BigInteger& x) { return x.bytes<SquareSum::kBytes>(); }

bool equal(const Limbs<4>& limbs, const BigInteger& x) {
    const UInt128 value{limbs[0] | std::uint64_t{limbs[1]} << 32, limbs[2] | std::uint64_t{limbs[3]} << 32};
    return value == UInt128{x.low64(), x.high64()};
}

}  // namespace

TEST("products of 64-bit integers are exact, with and without a 128-bit type") {
    Random random(1);
    for (int i = 0; i < 2000; ++i) {
        const std::uint64_t a = i == 0 ? ~std::uint64_t{0} : random() >> random() % 64;
        const std::uint64_t b = i == 0 ? ~std::uint64_t{0} : random() >> random() % 64;
        CHECK(equal(limbs(multiply(a, b)), BigInteger(a) * b));
        CHECK(multiply(a, b) == multiply_portably(a, b));
        const Limbs<6> cube = multiply(multiply(a, a), b);
        const auto bytes = (BigInteger(a) * a * b).bytes<24>();
        for (std::size_t byte = 0; byte < 24; ++byte) {
            CHECK(static_cast<std::uint8_t>(cube[byte / 4] >> (8 * (byte % 4))) == bytes[byte]);
        }
    }
}

TEST("a sum of doubles anywhere in the range is exact") {
    Random random(2);
    ValueSum values;
    SquareSum squares;
    Reference reference;
    for (int i = 0; i < 20000; ++i) {
        const double x = families()[random() % families().size()].draw(random);
        if (!is_finite(x)) continue;
        const Decoded d = decode(x);
        values.add(d.significand, d.shift, d.negative);
        squares.add_square(d.significand, 2 * d.shift);
        reference.add(x);
    }
    CHECK(values.to_bytes() == bytes_of_values(reference.s1));
    CHECK(squares.to_bytes() == bytes_of_squares(reference.s2));
}

TEST("carries are settled before a digit overflows, at every shift and of both signs") {
    for (unsigned shift = 0; shift < 32; ++shift) {
        for (const bool negative : {false, true}) {
            ValueSum sum;
            for (unsigned i = 0; i < kMany; ++i) sum.add(kLargest, 2014 + shift, negative);
            const BigInteger expected = (BigInteger(kLargest) * kMany).shifted(static_cast<int>(2014 + shift));
            CHECK(sum.to_bytes() == bytes_of_values(negative ? -expected : expected));
        }
    }
}

TEST("carries of squares are settled before a digit overflows, at every shift") {
    for (unsigned shift = 0; shift < 32; ++shift) {
        SquareSum sum;
        for (unsigned i = 0; i < kMany; ++i) sum.add_square(kLargest, 4060 + shift);
        const BigInteger expected = (BigInteger(kLargest) * kLargest * kMany).shifted(static_cast<int>(4060 + shift));
        CHECK(sum.to_bytes() == bytes_of_squares(expected));
    }
}

TEST("carries of wide integers are settled before a digit overflows, at every shift and of both signs") {
    const Limbs<4> ones{~0U, ~0U, ~0U, ~0U};
    const BigInteger value = BigInteger(1).shifted(128) + -BigInteger(1);
    for (unsigned shift = 0; shift < 32; ++shift) {
        for (const bool negative : {false, true}) {
            ValueSum sum;
            for (unsigned i = 0; i < kMany; ++i) sum.add(ones, 1000 + shift, negative);
            const BigInteger expected = (value * kMany).shifted(static_cast<int>(1000 + shift));
            CHECK(sum.to_bytes() == bytes_of_values(negative ? -expected : expected));
        }
    }
}

TEST("sums that must soon settle their carries can be merged repeatedly without overflow") {
    ValueSum full;
    for (unsigned i = 0; i < 2047; ++i) full.add(kLargest, 31, true);
    ValueSum sum = full;
    BigInteger expected = -(BigInteger(kLargest) * 2047).shifted(31);
    const BigInteger once = expected;
    for (int i = 0; i < 100; ++i) {
        sum.merge(full);
        sum.add(kLargest, 31, true);
        expected = expected + once + -BigInteger(kLargest).shifted(31);
    }
    CHECK(sum.to_bytes() == bytes_of_values(expected));
}

TEST("a sum that is written as bytes and read again is unchanged: negative, zero or positive") {
    Random random(3);
    for (int i = 0; i < 200; ++i) {
        ValueSum sum;
        for (int j = 0; j < i; ++j) sum.add(random() >> 11, static_cast<unsigned>(random() % 2046), random() % 2 != 0);
        ValueSum back = ValueSum::from_bytes(sum.to_bytes());
        CHECK(back.to_bytes() == sum.to_bytes());
        back.add(kLargest, 2045, i % 2 != 0);
        sum.add(kLargest, 2045, i % 2 != 0);
        CHECK(back.to_bytes() == sum.to_bytes());
    }
}

TEST("adding values and then their negatives gives exactly zero") {
    Random random(4);
    ValueSum sum;
    const std::vector<double> values = draw(families()[7], 5000, random);
    for (const bool minus : {false, true}) {
        for (const double x : values) sum.add(decode(x).significand, decode(x).shift, decode(x).negative != minus);
    }
    CHECK(sum.to_bytes() == ValueSum().to_bytes());
}
