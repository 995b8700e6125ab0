// The AVX2 kernel, included by block_sum.hpp.
//
// As in the AVX-512 kernel, the processor's inexact flag shows whether anything was rounded. An operation is inexact
// only if a value has bits below the window or if a sum needs more than the 53 bits of a double. The split rounds to
// integers with VROUNDPD, which can suppress the flag. The loop therefore contains no checks. It has 16 arithmetic
// instructions for 4 values, as many for the multipliers as for the adders.

namespace pyml::avx2 {

using Doubles = __m256d;

constexpr std::size_t kLanes = 4;

/// The caller chooses windows with |x| <= 2^(top-1) where it can; then the sum of 256 products has at most 52 bits.
/// For larger values the sum may need more than 53 bits, which sets the inexact flag.
constexpr std::size_t kBlockSize = 256 * kLanes;

inline Doubles load(const double* data) noexcept { return _mm256_loadu_pd(data); }
inline __m256 load(const float* data) noexcept { return _mm256_loadu_ps(data); }
inline Doubles load_half(const float* data) noexcept { return _mm256_cvtps_pd(_mm_loadu_ps(data)); }
inline Doubles multiply_add(Doubles a, Doubles b, Doubles c) noexcept { return _mm256_fmadd_pd(a, b, c); }

/// Rounds to the nearest integers without setting the inexact flag.
inline Doubles nearest(Doubles x) noexcept { return _mm256_round_pd(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

/// Returns the sum of the lanes times 2^shift, as an integer in units of 2^exponent. Sets the inexact flag if a lane is
/// not an integer, and the invalid flag if it does not fit.
inline Partial total(Doubles lanes, int shift, int exponent) noexcept {
    const Doubles counts = lanes * power_of_two(shift);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < kLanes; ++i) sum += static_cast<std::uint64_t>(_mm_cvttsd_si64(_mm_set_sd(counts[i])));
    return {static_cast<std::int64_t>(sum), exponent};
}

/// The minimum and maximum of a block of T. NaN changes neither, but sets the invalid flag.
template <class T>
struct Extremes {
    using Vector = decltype(load(static_cast<const T*>(nullptr)));

    Vector min, max;

    Extremes() noexcept : min(__builtin_inff() - Vector{}), max(-min) {}

    void see(__m256d x) noexcept {
        min = _mm256_min_pd(x, min);
        max = _mm256_max_pd(x, max);
    }
    void see(__m256 x) noexcept {
        min = _mm256_min_ps(x, min);
        max = _mm256_max_ps(x, max);
    }
    void store(BlockSums& sums) const noexcept {
        sums.min = static_cast<double>(min[0]);
        sums.max = static_cast<double>(max[0]);
        for (std::size_t i = 1; i < sizeof(Vector) / sizeof(T); ++i) {
            if (static_cast<double>(min[i]) < sums.min) sums.min = static_cast<double>(min[i]);
            if (static_cast<double>(max[i]) > sums.max) sums.max = static_cast<double>(max[i]);
        }
    }
};

/// Returns whether the block lies in the window and nothing was rounded since clear_flags(). The volatile statement
/// makes the compiler write the sums to memory before the flags are read.
inline bool fits(int top, BlockSums& sums) noexcept {
    asm volatile("" : "+m"(sums));
    return all_exact() && -power_of_two(top) <= sums.min && sums.max <= power_of_two(top);
}

/// Splits x = (a + (b + c) / 2^23) * 2^(top-23) into signed integers a and b of at most 24 bits and a fraction c of 26
/// bits. The window has 72 bits.
inline bool sum_block(const double* data, std::size_t size, int top, BlockSums& sums) noexcept {
    const int unit = top - 23;
    const Doubles in_units = _mm256_set1_pd(power_of_two(-unit)), b_units = _mm256_set1_pd(0x1p23);
    Doubles a_sum{}, rest_sum{}, aa{}, ab{}, ac{}, bb{}, bc{}, cc{};
    Extremes<double> extremes;
    clear_flags();
    for (std::size_t i = 0; i < size; i += kLanes) {
        prefetch_beyond(data + i);
        const Doubles x = load(data + i);
        extremes.see(x);
        const Doubles scaled = x * in_units;
        const Doubles a = nearest(scaled);
        const Doubles rest = scaled - a;
        const Doubles scaled_rest = rest * b_units;
        const Doubles b = nearest(scaled_rest);
        const Doubles c = scaled_rest - b;
        a_sum += a;
        rest_sum += rest;
        aa = multiply_add(a, a, aa);
        ab = multiply_add(a, b, ab);
        ac = multiply_add(a, c, ac);
        bb = multiply_add(b, b, bb);
        bc = multiply_add(b, c, bc);
        cc = multiply_add(c, c, cc);
    }
    extremes.store(sums);
    const int b_unit = unit - 23, c_unit = b_unit - 26;
    sums.values = {total(a_sum, 0, unit), total(rest_sum, 49, c_unit)};
    sums.squares = {total(aa, 0, unit + unit),         total(ab, 0, unit + b_unit + 1), total(ac, 26, unit + c_unit + 1),
                    total(bb, 0, b_unit + b_unit),     total(bc, 26, b_unit + c_unit + 1),
                    total(cc, 52, c_unit + c_unit)};
    return fits(top, sums);
}

/// The sums of floats. The square of a float is exact as a double: x² = (high + low) * 2^(2 top - 46), where high is an
/// integer and low a fraction.
struct FloatSums {
    Doubles x, high, low;

    FloatSums() noexcept : x{}, high{}, low{} {}

    /// Adds a vector. multiply_add with a factor of 1 replaces some additions, because the adders limit the speed.
    void add(Doubles value, Doubles in_units) noexcept {
        const Doubles one = _mm256_set1_pd(1.0);
        const Doubles square = value * value * in_units;
        const Doubles rounded = nearest(square);
        x = multiply_add(value, one, x);
        high = multiply_add(rounded, one, high);
        low = multiply_add(square - rounded, one, low);
    }
};

constexpr std::size_t kFloatBlockSize = 4096;

inline bool sum_block(const float* data, std::size_t size, int top, BlockSums& sums) noexcept {
    const int unit = 2 * top - 46;
    const Doubles in_units = _mm256_set1_pd(power_of_two(-unit));
    FloatSums even, odd;  // with one set, each addition would wait for the previous one
    Extremes<float> extremes;
    clear_flags();
    for (std::size_t i = 0; i < size; i += 2 * kLanes) {
        prefetch_beyond(data + i);
        extremes.see(load(data + i));
        even.add(load_half(data + i), in_units);
        odd.add(load_half(data + i + kLanes), in_units);
    }
    extremes.store(sums);
    sums.values = {total(even.x + odd.x, 46 - top, top - 46)};
    sums.squares = {total(even.high + odd.high, 0, unit), total(even.low + odd.low, 46, unit - 46)};
    return fits(top, sums);
}

inline Doubles magnitude(Doubles x) noexcept { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), x); }

inline double largest(Doubles x) noexcept { return std::max(std::max(x[0], x[1]), std::max(x[2], x[3])); }

inline double largest_magnitude(const double* data, std::size_t size) noexcept {
    Doubles most{};  // NaN does not change the maximum
    for (std::size_t i = 0; i < size; i += kLanes) most = _mm256_max_pd(magnitude(load(data + i)), most);
    return largest(most);
}

inline double largest_magnitude(const float* data, std::size_t size) noexcept {
    Doubles most{};
    for (std::size_t i = 0; i < size; i += kLanes) most = _mm256_max_pd(magnitude(load_half(data + i)), most);
    return largest(most);
}

/// The range of `top` is chosen so that every constant is a normal double.
constexpr Kernels<double> kDoubleKernels{kLanes, kBlockSize, -1000, 1020, 20, sum_block, largest_magnitude};
constexpr Kernels<float> kFloatKernels{2 * kLanes, kFloatBlockSize, -149, 129, 23, sum_block, largest_magnitude};

}  // namespace pyml::avx2
