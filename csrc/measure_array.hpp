/// Measure::add_array, which adds arrays of any element type, in blocks where vector kernels are available.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>
#include <utility>

#include "block_sum.hpp"
#include "measure.hpp"

namespace pyml {

#if PYML_X86_KERNELS

/// Adds an array of double or float to a measure. The level's kernel sums the blocks that lie in the current window of
/// exponents (see block_sum.hpp); other values are added one by one.
template <class T>
class BlockAdder {
public:
    static constexpr std::size_t kSmallest = 16;  ///< for smaller arrays, adding one by one is as fast

    BlockAdder(Measure& measure, const Kernels<T>& kernels) noexcept : measure_(measure), kernels_(kernels) {}

    void add(const T* data, std::size_t size) noexcept {
        const std::size_t in_vectors = size / kernels_.lanes * kernels_.lanes;
        top_ = top_above(data, std::min(in_vectors, kUnitSize));
        step_ = kernels_.block_size;
        for (std::size_t i = 0, n = 0; i < in_vectors; i += n) {
            n = std::min(in_vectors - i, step_);
            add_step(data + i, n);
        }
        deposit();
        add_one_by_one(data + in_vectors, size - in_vectors);
    }

private:
    static constexpr std::size_t kUnitSize = 128;  ///< a multiple of `lanes` of every level
    static constexpr int kMargin = 1;              ///< room at the top of a window for larger values

    static constexpr std::size_t kSmallestStep = 256, kLargestStep = 8192;

    /// Adds a block, and chooses the size of the next one. In smaller blocks, values lie closer together: after a block
    /// that did not fit into a window, blocks are halved; after four that did, doubled. Where values are scattered, the
    /// sum is made one by one, and a window is tried again after ever more values.
    void add_step(const T* data, std::size_t size) noexcept {
        if (!scattered_ && (add_if_inside(data, size) || add_outgrown(data, size))) {
            if (step_ < kernels_.block_size && ++n_fitting_ % 4 == 0) step_ *= 2;
            return;
        }
        const bool was_scattered = scattered_;
        add_in_units(data, size);
        n_fitting_ = 0;
        if (scattered_) {
            step_ = was_scattered ? std::min(2 * step_, kLargestStep) : kernels_.block_size;
        } else {
            step_ = std::min(kernels_.block_size, std::max(step_ / 2, kSmallestStep));
        }
    }

    /// Adds a block unit by unit, so that an outlier or NaN slows down its unit only. If more than a quarter of the
    /// block lies outside the windows, the values are too scattered for kernels. The rest of the block is then added
    /// one by one, and so is the next block, unless at most a quarter of its first unit lies outside.
    void add_in_units(const T* data, std::size_t size) noexcept {
        std::size_t n_outside = 0;
        for (std::size_t i = 0; i < size; i += kUnitSize) {
            const std::size_t unit_size = std::min(size - i, kUnitSize);
            if (!add_if_inside(data + i, unit_size) && !add_in_own_window(data + i, unit_size)) {
                n_outside += add_around_outliers(data + i, unit_size);
            }
            const bool is_first_try = scattered_ && i == 0;
            if (n_outside > (is_first_try ? unit_size : size) / 4) {
                scattered_ = true;
                return add_one_by_one(data + i + unit_size, size - i - unit_size);
            }
        }
        scattered_ = false;
    }

    /// Adds a unit: values inside the window by the kernel, all others one by one. Returns the number of the others.
    std::size_t add_around_outliers(const T* data, std::size_t size) noexcept {
        std::array<T, kUnitSize> inside, outside;
        std::size_t n_inside = 0, n_outside = 0;
        const double least = power_of_two(top_ - kernels_.reach), most = power_of_two(top_);
        for (std::size_t i = 0; i < size; ++i) {  // no branch, because outliers are unpredictable
            const double magnitude = std::fabs(static_cast<double>(data[i]));
            const bool is_inside = (magnitude >= least && magnitude <= most) || magnitude == 0;
            inside[n_inside] = data[i];
            outside[n_outside] = data[i];
            n_inside += is_inside;
            n_outside += !is_inside;
        }
        const std::size_t in_vectors = n_inside / kernels_.lanes * kernels_.lanes;
        const bool added = in_vectors == 0 || add_if_inside(inside.data(), in_vectors);
        add_one_by_one(inside.data() + (added ? in_vectors : 0), n_inside - (added ? in_vectors : 0));
        add_one_by_one(outside.data(), n_outside);
        return n_outside;
    }

    /// Adds a block with a window of its own if it has values above the current window.
    bool add_outgrown(const T* data, std::size_t size) noexcept {
        return top_above(data, size) > top_ && add_in_own_window(data, size);
    }

    /// Moves the window so that it contains these values, and adds them. Returns false if no window contains them.
    bool add_in_own_window(const T* data, std::size_t size) noexcept {
        deposit();
        const int old_top = std::exchange(top_, top_above(data, size));
        if (top_ != old_top && add_if_inside(data, size)) return true;
        top_ = old_top;
        return false;
    }

    /// Returns the top of a window for these values, limited to the range that the kernel accepts.
    int top_above(const T* data, std::size_t size) const noexcept {
        const double largest = kernels_.largest_magnitude(data, size);
        const int above = static_cast<int>(exponent_field(largest)) - 1022;  // largest < 2^above
        return std::clamp(above + kMargin, kernels_.min_top, kernels_.max_top);
    }

    bool add_if_inside(const T* data, std::size_t size) noexcept {
        BlockSums sums;
        if (!kernels_.sum_block(data, size, top_, sums)) return false;
        if (n_blocks_ == BlockSums::kMaxBlocks) deposit();
        if (n_blocks_ == 0) {
            sums_ = sums;
        } else {
            sums_.merge(sums);
        }
        ++n_blocks_;
        n_values_ += size;
        return true;
    }

    void deposit() noexcept {
        if (n_blocks_ != 0) measure_.add_block(sums_, n_values_);
        n_blocks_ = 0;
        n_values_ = 0;
    }

    void add_one_by_one(const T* data, std::size_t size) noexcept {
        for (std::size_t i = 0; i < size; ++i) measure_.add(widen(data[i]));
    }

    Measure& measure_;
    const Kernels<T>& kernels_;
    int top_ = 0;                 ///< top of the current window
    bool scattered_ = false;      ///< whether the last block had too many values outside its windows
    std::size_t step_ = 0;        ///< number of values of the next block
    int n_fitting_ = 0;           ///< number of blocks in a row that fitted into a window
    BlockSums sums_{};            ///< sums of blocks that are not in the measure yet
    int n_blocks_ = 0;            ///< number of these blocks
    std::size_t n_values_ = 0;    ///< number of their values
};

#endif

/// Adds integers. The 128-bit sums cannot overflow, however many 64-bit elements there are. A negative x is added as
/// x + 2^64; the number of negative values corrects this at the end.
template <class Integer>
void Measure::add_integers(const Integer* data, std::size_t size) noexcept {
    using Wide = std::conditional_t<std::is_signed_v<Integer>, std::int64_t, std::uint64_t>;
    if (size == 0) return;
    Integer min = data[0], max = data[0];
    UInt128 sum, square_low, square_high;
    std::uint64_t n_negative = 0;
    for (std::size_t i = 0; i < size; ++i) {
        const Integer x = data[i];
        min = std::min(min, x);
        max = std::max(max, x);
        const auto bits = static_cast<std::uint64_t>(static_cast<Wide>(x));
        const std::uint64_t magnitude = x < 0 ? 0 - bits : bits;
        const UInt128 square = multiply(magnitude, magnitude);
        sum.add(bits);
        n_negative += x < 0;
        square_low.add(square.low);
        square_high.add(square.high);
    }
    n_observations_.add(size);
    include(order_key(nearest_double(min)));
    include(order_key(nearest_double(max)));
    constexpr unsigned kOne = -ValueSum::kUnit, kSquareOne = -SquareSum::kUnit;
    values_.add(limbs(sum), kOne, false);
    values_.add(limbs(n_negative), kOne + 64, true);
    squares_.add(limbs(square_low), kSquareOne, false);
    squares_.add(limbs(square_high), kSquareOne + 64, false);
}

template <class T>
void Measure::add_array(const T* data, std::size_t size, Level level) noexcept {
    if constexpr (std::is_integral_v<T>) {
        add_integers(data, size);
    } else if constexpr (std::is_same_v<T, double> || std::is_same_v<T, float>) {
#if PYML_X86_KERNELS
        if (level != Level::scalar && size >= BlockAdder<T>::kSmallest) {
            const DefaultFloatingPointMode mode;
            return BlockAdder<T>(*this, kernels<T>(level)).add(data, size);
        }
#endif
        for (std::size_t i = 0; i < size; ++i) add(widen(data[i]));
    } else {  // small types are converted in a buffer to a type handled above
        using Buffer = std::conditional_t<std::is_same_v<T, Bool>, std::uint8_t, float>;
        std::array<Buffer, 1024> buffer;
        while (size != 0) {
            const std::size_t n = std::min(size, buffer.size());
            std::transform(data, data + n, buffer.begin(), [](T x) { return plain(x); });
            add_array(buffer.data(), n, level);
            data += n;
            size -= n;
        }
    }
}

}  // namespace pyml
