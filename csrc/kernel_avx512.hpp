// The AVX-512 kernel, included by block_sum.hpp for processors with 52-bit integer multiply-add (IFMA).
//
// Two properties keep the loop short. First, adding a suitable constant to x puts the rounded value into the lowest 52
// bits of the result, which are the bits that the integer multiply-add reads. Second, the processor's flags show
// whether anything was rounded. The first addition of the split suppresses them, so that at the end of a block the
// inexact flag means that a value has bits below the window, and the invalid flag means NaN or infinity. The loop needs
// no checks.

#pragma GCC diagnostic push
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC bug 105593: false warnings in GCC 12's own avx512fintrin.h
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace pyml::avx512 {

using Doubles = __m512d;
using Integers = __m512i;

constexpr std::size_t kLanes = 8;
constexpr std::size_t kBlockSize = 128 * kLanes;  // the sum of 1,024 products of 52 bits is below 2^62

inline Integers bits(Doubles x) noexcept { return _mm512_castpd_si512(x); }

/// Returns x + y without setting floating-point flags.
inline Doubles add_silently(Doubles x, Doubles y) noexcept {
    return _mm512_add_round_pd(x, y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/// Returns x * y + z without setting floating-point flags.
inline Doubles multiply_add_silently(Doubles x, Doubles y, Doubles z) noexcept {
    return _mm512_fmadd_round_pd(x, y, z, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/// Returns the constant that rounds to multiples of 2^exponent. If |x| < 2^(e+51), then x + rounder(e) is rounded to a
/// multiple m * 2^e, and the lowest 52 bits of the result are the integer 2^51 + m.
inline double rounder(int exponent) noexcept { return 1.5 * power_of_two(exponent + 52); }

/// Returns the sum of the lanes modulo 2^64.
inline std::uint64_t lane_total(Integers lanes) noexcept {
    lanes = _mm512_add_epi64(lanes, _mm512_shuffle_i64x2(lanes, lanes, _MM_SHUFFLE(1, 0, 3, 2)));  // halves
    lanes = _mm512_add_epi64(lanes, _mm512_shuffle_i64x2(lanes, lanes, _MM_SHUFFLE(2, 3, 0, 1)));  // quarters
    lanes = _mm512_add_epi64(lanes, _mm512_unpackhi_epi64(lanes, lanes));
    return static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm512_castsi512_si128(lanes)));
}

inline Partial partial(std::uint64_t sum, int exponent) noexcept { return {static_cast<std::int64_t>(sum), exponent}; }

constexpr std::uint64_t kLow52 = (std::uint64_t{1} << 52) - 1;

/// The integer low + 2^52 * high.
struct Wide {
    std::uint64_t low, high;
};

/// The sum Σ p·q. Each product of the lowest 52 bits is added with all of its 104 bits.
struct ProductSum {
    Integers low, high;  // high in units of 2^52

    ProductSum() noexcept : low{}, high{} {}

    void add(Integers p, Integers q) noexcept {
        low = _mm512_madd52lo_epu64(low, p, q);
        high = _mm512_madd52hi_epu64(high, p, q);
    }
    [[nodiscard]] Wide total() const noexcept { return {lane_total(low), lane_total(high)}; }
};

inline bool inside(int top, const BlockSums& sums) noexcept {
    return -power_of_two(top) <= sums.min && sums.max <= power_of_two(top);
}

/// The minimum and maximum of a block. NaN changes neither, but sets the invalid flag.
struct Extremes {
    Doubles min, max;

    Extremes() noexcept : min(_mm512_set1_pd(__builtin_inf())), max(-min) {}

    void see(Doubles x) noexcept {
        min = _mm512_min_pd(x, min);
        max = _mm512_max_pd(x, max);
    }
    void store(BlockSums& sums) const noexcept {
        sums.min = _mm512_reduce_min_pd(min);
        sums.max = _mm512_reduce_max_pd(max);
    }
};

/// The minimum and maximum of a block of floats.
struct FloatExtremes {
    __m512 min, max;

    FloatExtremes() noexcept : min(_mm512_set1_ps(__builtin_inff())), max(-min) {}

    void see(__m512 x) noexcept {
        min = _mm512_min_ps(x, min);
        max = _mm512_max_ps(x, max);
    }
    void store(BlockSums& sums) const noexcept {
        sums.min = static_cast<double>(_mm512_reduce_min_ps(min));
        sums.max = static_cast<double>(_mm512_reduce_max_ps(max));
    }
};

/// Makes the compiler compute `result` before the flags are read: volatile statements keep their order.
template <class Vector>
inline void settle(Vector& result) noexcept {
    asm volatile("" : "+v"(result));
}

/// Splits x = high * 2^(top-50) + low * 2^(top-101) into two signed integers of at most 50 bits. The window has 101
/// bits.
inline bool sum_block(const double* data, std::size_t size, int top, BlockSums& sums) noexcept {
    const int high_unit = top - 50, low_unit = high_unit - 51;
    const Doubles to_high = _mm512_set1_pd(rounder(high_unit));
    const Doubles both = _mm512_set1_pd(rounder(high_unit) + rounder(low_unit));  // exact: they are 51 bits apart
    Integers high_bits{}, low_bits{};
    ProductSum high_high, high_low, low_low;
    Extremes extremes;
    clear_flags();
    for (std::size_t i = 0; i < size; i += kLanes) {
        prefetch_beyond(data + i);
        const Doubles x = _mm512_loadu_pd(data + i);
        extremes.see(x);
        const Doubles rounded = add_silently(x, to_high);
        const Doubles rest = x + (both - rounded);  // (x - high) + rounder(low_unit), rounded once if at all
        const Integers high = bits(rounded), low = bits(rest);
        high_bits = _mm512_add_epi64(high_bits, high);
        low_bits = _mm512_add_epi64(low_bits, low);
        high_high.add(high, high);
        high_low.add(high, low);
        low_low.add(low, low);
    }
    settle(low_bits);
    settle(extremes.min);
    settle(extremes.max);
    const bool fits = all_exact();
    extremes.store(sums);
    if (!fits || !inside(top, sums)) return false;

    // The products were computed from h = 2^51 + high and l = 2^51 + low. The offsets are removed here:
    //   Σ high² = Σ h² - 2^52 Σ high - n 2^102, and Σ low² likewise;
    //   2 Σ high·low = 2 Σ h·l - 2^52 (Σ high + Σ low) - n 2^103.
    // The arithmetic is modulo 2^64, so that intermediate overflows cancel.
    const std::uint64_t n = size;
    const std::uint64_t high = lane_total(high_bits) - n * bits_of(rounder(high_unit));
    const std::uint64_t low = lane_total(low_bits) - n * bits_of(rounder(low_unit));
    sums.values = {partial(high, high_unit), partial(low, low_unit)};
    const Wide hh = high_high.total(), hl = high_low.total(), ll = low_low.total();
    const auto store = [](Partial* to, Wide sum, int unit) {  // the lower 52 bits, and the signed rest
        to[0] = partial(sum.low & kLow52, unit);
        to[1] = partial(sum.high + (sum.low >> 52), unit + 52);
    };
    store(&sums.squares[0], {hh.low, hh.high - high - (n << 50)}, 2 * high_unit);
    store(&sums.squares[2], {2 * hl.low, 2 * hl.high - high - low - (n << 51)}, high_unit + low_unit);
    store(&sums.squares[4], {ll.low, ll.high - low - (n << 50)}, 2 * low_unit);
    return true;
}

/// The square of a float is exact as a double and is split into x² = high + low, of at most 46 bits each. low and x are
/// summed as doubles. If such a sum is rounded, or is not a whole number of units at the end, the inexact flag is set.
inline bool sum_block(const float* data, std::size_t size, int top, BlockSums& sums) noexcept {
    const int x_unit = top - 46, high_unit = 2 * top - 46, low_unit = high_unit - 46;
    const Doubles to_high = _mm512_set1_pd(rounder(high_unit));
    Integers high_bits{};
    Doubles x_sum{}, low_sum{};
    FloatExtremes extremes;
    clear_flags();
    for (std::size_t i = 0; i < size; i += 2 * kLanes) {
        prefetch_beyond(data + i);
        extremes.see(_mm512_loadu_ps(data + i));
        for (std::size_t half = i; half < i + 2 * kLanes; half += kLanes) {
            const Doubles x = _mm512_cvtps_pd(_mm256_loadu_ps(data + half));
            const Doubles rounded = multiply_add_silently(x, x, to_high);
            high_bits = _mm512_add_epi64(high_bits, bits(rounded));
            low_sum += _mm512_fmadd_pd(x, x, to_high - rounded);
            x_sum += x;
        }
    }
    Integers x_units = _mm512_cvtpd_epi64(x_sum * power_of_two(-x_unit));
    Integers low_units = _mm512_cvtpd_epi64(low_sum * power_of_two(-low_unit));
    settle(x_units);  // the conversion sets the invalid flag if a value was NaN or infinite
    settle(low_units);
    const bool fits = all_exact();
    extremes.store(sums);
    if (!fits || !inside(top, sums)) return false;

    sums.values = {partial(lane_total(x_units), x_unit)};
    sums.squares = {partial(lane_total(high_bits) - size * bits_of(rounder(high_unit)), high_unit),
                    partial(lane_total(low_units), low_unit)};
    return true;
}

inline double largest_magnitude(const double* data, std::size_t size) noexcept {
    Doubles largest{};
    for (std::size_t i = 0; i < size; i += kLanes) {
        largest = _mm512_max_pd(_mm512_abs_pd(_mm512_loadu_pd(data + i)), largest);
    }
    return _mm512_reduce_max_pd(largest);
}

inline double largest_magnitude(const float* data, std::size_t size) noexcept {
    __m256 largest{};
    for (std::size_t i = 0; i < size; i += kLanes) {
        const __m256 x = _mm256_loadu_ps(data + i);
        largest = _mm256_max_ps(_mm256_max_ps(x, -x), largest);
    }
    return _mm512_reduce_max_pd(_mm512_cvtps_pd(largest));
}

/// The range of `top` is chosen so that every constant is a normal double. The lowest window includes the smallest
/// subnormal double.
constexpr Kernels<double> kDoubleKernels{kLanes, kBlockSize, -973, 1020, 49, sum_block, largest_magnitude};
constexpr Kernels<float> kFloatKernels{2 * kLanes, kBlockSize, -149, 129, 23, sum_block, largest_magnitude};

}  // namespace pyml::avx512
#pragma GCC diagnostic pop
