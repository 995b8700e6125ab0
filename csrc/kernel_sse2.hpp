// The kernel for baseline x86-64 (SSE2), included by block_sum.hpp.

namespace pyml::baseline {

using Doubles = __m128d;
using Floats = __m128;

inline Doubles load(const double* data) noexcept { return _mm_loadu_pd(data); }
inline Floats load(const float* data) noexcept { return _mm_loadu_ps(data); }
inline Doubles load_half(const float* data) noexcept {
    return _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(data))));
}
inline Doubles smaller(Doubles x, Doubles y) noexcept { return _mm_min_pd(x, y); }  // returns y if x is NaN
inline Doubles larger(Doubles x, Doubles y) noexcept { return _mm_max_pd(x, y); }
inline Floats smaller(Floats x, Floats y) noexcept { return _mm_min_ps(x, y); }
inline Floats larger(Floats x, Floats y) noexcept { return _mm_max_ps(x, y); }

/// Returns a * b + c. SSE2 has no fused multiply-add; in this kernel the product is always exact.
inline Doubles multiply_add(Doubles a, Doubles b, Doubles c) noexcept { return a * b + c; }

typedef std::uint64_t Integers __attribute__((vector_size(sizeof(Doubles))));

constexpr std::size_t kLanes = sizeof(Doubles) / sizeof(double);

/// A lane adds up to 128 products of 23-bit pieces. Each product is at most 2^46, so the sum is at most 2^53.
constexpr std::size_t kBlockSize = 128 * kLanes;

/// Floats are summed as integers, which leaves room for larger blocks. They are a quarter faster for arrays that are
/// not in the cache.
constexpr std::size_t kFloatBlockSize = 4096;

inline Integers bits(Doubles x) noexcept { return reinterpret_cast<Integers>(x); }

/// Returns 1.5 * 2^(exponent + 52), composed from its bits. Computed as a product, its factor would occupy a register
/// throughout the loop, and the resulting spill makes the loop a third slower.
inline double rounder(int exponent) noexcept {
    return bit_cast<double>(static_cast<std::uint64_t>(exponent + 52 + 1023) << 52 | std::uint64_t{1} << 51);
}

/// Rounds values to multiples of 2^unit and sums them. Precondition: |x| <= 2^(unit+51). The sum x + rounder_ then lies
/// between two powers of two where doubles are multiples of 2^unit. Its bits, read as an integer, count these
/// multiples. The integers are added, so the sum is exact.
struct RoundingSum {
    int unit;
    Doubles rounder_;
    Integers bits_;

    explicit RoundingSum(int exponent) noexcept : unit(exponent), rounder_(rounder(exponent) - Doubles{}), bits_{} {}

    Doubles round(Doubles x) noexcept { return add(x + rounder_); }
    Doubles round_square(Doubles x) noexcept { return add(multiply_add(x, x, rounder_)); }

    Doubles add(Doubles rounded) noexcept {
        bits_ += bits(rounded);
        return rounded - rounder_;
    }

    /// Returns the sum of the rounded values. `size` is the number of values that were rounded.
    [[nodiscard]] Partial total(std::size_t size) const noexcept {
        std::uint64_t sum = 0 - size * bits_of(rounder(unit));  // modulo 2^64, as bits_ is
        for (std::size_t i = 0; i < kLanes; ++i) sum += bits_[i];
        return {static_cast<std::int64_t>(sum), unit};
    }
};

/// Returns the sum of the lanes times 2^doublings. Precondition: every lane is an integer of at most 53 bits in units
/// of 2^exponent.
inline Partial total(Doubles lanes, int exponent, int doublings = 0) noexcept {
    Partial partial{0, exponent + doublings};
    const Doubles counts = lanes * power_of_two(-exponent);
    for (std::size_t i = 0; i < kLanes; ++i) partial.sum += static_cast<std::int64_t>(counts[i]);
    return partial;
}

/// The minimum and maximum of a block of T.
template <class T>
struct Extremes {
    using Vector = decltype(load(static_cast<const T*>(nullptr)));

    Vector min, max;

    Extremes() noexcept : min(__builtin_inff() - Vector{}), max(-min) {}

    void see(Vector x) noexcept {
        min = smaller(x, min);  // NaN changes neither
        max = larger(x, max);
    }

    /// Stores the extremes and returns whether all values of the block lie in the window. `left_over` holds the bits of
    /// what the split did not use: NaN after an infinity or NaN, and zero of either sign if the split was exact.
    bool finish(Integers left_over, int top, BlockSums& sums) const noexcept {
        std::uint64_t any = 0;
        for (std::size_t i = 0; i < kLanes; ++i) any |= left_over[i] & ~kSignBit;
        sums.min = static_cast<double>(min[0]);
        sums.max = static_cast<double>(max[0]);
        for (std::size_t i = 1; i < sizeof(Vector) / sizeof(T); ++i) {
            if (static_cast<double>(min[i]) < sums.min) sums.min = static_cast<double>(min[i]);
            if (static_cast<double>(max[i]) > sums.max) sums.max = static_cast<double>(max[i]);
        }
        const double bound = power_of_two(top);
        return any == 0 && -bound <= sums.min && sums.max <= bound;
    }
};

/// Splits x = a + b + c into signed pieces of at most 23 bits. The window has 71 bits. Rounding x to a and to a + b in
/// parallel is faster than rounding first to a and then the rest to b.
inline bool sum_block(const double* data, std::size_t size, int top, BlockSums& sums) noexcept {
    const int a_unit = top - 23, b_unit = top - 47, c_unit = top - 71;
    const Doubles to_a = rounder(a_unit) - Doubles{};
    RoundingSum upper_sum{b_unit}, c_sum{c_unit};
    Doubles aa{}, ab{}, ac{}, bb{}, bc{}, cc{};
    Integers left_over{};
    Extremes<double> extremes;
    for (std::size_t i = 0; i < size; i += kLanes) {
        prefetch_beyond(data + i);
        const Doubles x = load(data + i);
        extremes.see(x);
        const Doubles a = (x + to_a) - to_a;
        aa = multiply_add(a, a, aa);
        const Doubles upper = upper_sum.round(x);
        const Doubles b = upper - a;
        ab = multiply_add(a, b, ab);
        bb = multiply_add(b, b, bb);
        const Doubles rest = x - upper;
        const Doubles c = c_sum.round(rest);
        ac = multiply_add(a, c, ac);
        bc = multiply_add(b, c, bc);
        cc = multiply_add(c, c, cc);
        left_over |= bits(rest - c);
    }
    if (!extremes.finish(left_over, top, sums)) return false;
    sums.values = {upper_sum.total(size), c_sum.total(size)};
    sums.squares = {total(aa, a_unit + a_unit), total(ab, a_unit + b_unit, 1), total(ac, a_unit + c_unit, 1),
                    total(bb, b_unit + b_unit), total(bc, b_unit + c_unit, 1), total(cc, c_unit + c_unit)};
    return true;
}

/// The square of a float is exact as a double and is split into x² = high + low, of 46 bits each. If x² is a multiple
/// of 4^e, then x is a multiple of 2^e. So the exact split of x² shows that the sum of x is exact too.
inline bool sum_block(const float* data, std::size_t size, int top, BlockSums& sums) noexcept {
    RoundingSum x_sum{top - 46}, high_sum{2 * top - 46}, low_sum{2 * top - 92};
    Integers left_over{};
    Extremes<float> extremes;
    for (std::size_t i = 0; i < size; i += 2 * kLanes) {
        prefetch_beyond(data + i);
        extremes.see(load(data + i));
        for (std::size_t half = i; half < i + 2 * kLanes; half += kLanes) {
            const Doubles x = load_half(data + half);
            x_sum.round(x);
            const Doubles rest = multiply_add(x, x, -high_sum.round_square(x));
            left_over |= bits(rest - low_sum.round(rest));
        }
    }
    if (!extremes.finish(left_over, top, sums)) return false;
    sums.values = {x_sum.total(size)};
    sums.squares = {high_sum.total(size), low_sum.total(size)};
    return true;
}

template <class T>
double largest_magnitude(const T* data, std::size_t size) noexcept {
    Extremes<T> extremes;
    for (std::size_t i = 0; i < size; i += sizeof extremes.max / sizeof(T)) extremes.see(load(data + i));
    BlockSums sums;
    extremes.finish(Integers{}, 0, sums);
    return sums.max > -sums.min ? sums.max : -sums.min;
}

/// The range of `top` is chosen so that all constants and all products of pieces are normal doubles.
constexpr Kernels<double> kDoubleKernels{kLanes, kBlockSize, -440, 500, 19, sum_block, largest_magnitude<double>};
constexpr Kernels<float> kFloatKernels{2 * kLanes, kFloatBlockSize, -149, 129, 23, sum_block, largest_magnitude<float>};

}  // namespace pyml::baseline
