/// Families of random doubles. Each family tests a different difficulty of exact summation.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

using Random = std::mt19937_64;

struct Family {
    const char* name;
    double (*draw)(Random& random);
};

inline double uniform(Random& random, double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
}
inline double normal(Random& random) { return std::normal_distribution<double>()(random); }
inline double log_uniform(Random& random, double decades) {
    return normal(random) * std::pow(10.0, uniform(random, -decades, decades));
}
inline bool chance(Random& random, unsigned one_in) { return random() % one_in == 0; }

inline const std::vector<Family>& families() {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    static const std::vector<Family> all{
        {"normal", [](Random& r) { return normal(r); }},
        {"positive", [](Random& r) { return uniform(r, 0, 1); }},
        {"zeros of both signs", [](Random& r) { return chance(r, 2) ? 0.0 : -0.0; }},
        {"sparse", [](Random& r) { return chance(r, 50) ? normal(r) : -0.0; }},
        {"small integers", [](Random& r) { return static_cast<double>(r() % 512) - 256; }},
        {"five decades", [](Random& r) { return log_uniform(r, 5); }},
        {"twenty decades", [](Random& r) { return log_uniform(r, 20); }},
        {"300 decades", [](Random& r) { return log_uniform(r, 150); }},
        {"any bits", [](Random& r) {
             const std::uint64_t bits = r();
             double x = 0;
             std::memcpy(&x, &bits, sizeof x);
             return x;
         }},
        {"subnormal", [](Random& r) { return std::ldexp(normal(r), -1040); }},
        {"smallest", [](Random& r) { return static_cast<double>(r() % 7) * 5e-324; }},
        {"around the smallest normal", [](Random& r) { return normal(r) * 2.3e-308; }},
        {"near overflow", [](Random& r) { return uniform(r, -1.79e308, 1.79e308); }},
        {"largest, alternating", [](Random& r) {
             return chance(r, 2) ? std::numeric_limits<double>::max() : -std::numeric_limits<double>::max();
         }},
        {"powers of two", [](Random& r) { return std::ldexp(chance(r, 2) ? 1.0 : -1.0, static_cast<int>(r() % 80)); }},
        {"just below powers of two",
         [](Random& r) { return std::nextafter(std::ldexp(1.0, static_cast<int>(r() % 60)), 0.0); }},
        {"cancelling", [](Random& r) { return (chance(r, 2) ? 1e16 : -1e16) + static_cast<double>(r() % 3); }},
        {"a rare NaN", [](Random& r) { return chance(r, 200) ? kNaN : normal(r); }},
        {"rare infinities",
         [](Random& r) { return chance(r, 200) ? (chance(r, 2) ? kInfinity : -kInfinity) : normal(r); }},
        {"a rare giant", [](Random& r) { return chance(r, 200) ? 1e300 : normal(r); }},
        {"a rare dwarf", [](Random& r) { return chance(r, 200) ? 1e-300 : normal(r); }},
        {"all the same", [](Random&) { return 0.1; }},
    };
    return all;
}

inline std::vector<double> draw(const Family& family, std::size_t size, Random& random) {
    std::vector<double> values(size);
    for (double& x : values) x = family.draw(random);
    return values;
}

/// Converts a family to floats. A double outside the range of float keeps its significand and gets an exponent that
/// float has.
inline std::vector<float> as_floats(const std::vector<double>& values) {
    std::vector<float> floats;
    for (const double x : values) {
        int exponent = 0;
        const double fraction = std::frexp(x, &exponent);
        const bool fits = !std::isfinite(x) || x == 0 || (exponent > -149 && exponent < 128);
        floats.push_back(static_cast<float>(fits ? x : std::ldexp(fraction, exponent % 128)));
    }
    return floats;
}
