/// Engine: sums and other engines are merged into it, all of their measures or none.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <memory>

#include "engine.hpp"
#include "fields.hpp"

namespace pyml {

namespace py = pybind11;

/// Counts of 2^kCountBits and more are refused. The storage has two more bits, so that the sum of two counts cannot
/// overflow. A test checks that the value equals core.meter.measure.COUNT_BITS.
constexpr int kCountBits = 126;

/// Returns whether the counts of two measures together are below 2^kCountBits.
inline bool has_capacity(const Measure& a, const Measure& b) noexcept {
    UInt128 n_samples = a.n_samples(), n_nan = a.n_nan();
    n_samples.add(b.n_samples());
    n_nan.add(b.n_nan());
    return ((n_samples.high | n_nan.high) >> (kCountBits - 64)) == 0;
}

/// Raises an exception if `sum` cannot be added to the measure `name`.
inline void Engine::check_capacity(const py::str& name, const Measure& sum) const {
    QueuedMeasure* const here = find(name.ptr(), 0);
    if (here == nullptr) call_python(intake_.attr("check_name"), name);
    static const Measure empty;
    const Measure& before = here == nullptr ? empty : here->settled();
    if (!has_capacity(before, sum)) {
        UInt128 n_samples = before.n_samples(), n_nan = before.n_nan();
        n_samples.add(sum.n_samples());
        n_nan.add(sum.n_nan());
        raise_from_intake("check_capacity", name, to_int(n_samples), to_int(n_nan));
    }
}

/// Adds all sums, or raises an exception and adds none. Pairs need no check of their own: the counts of a pair are at
/// most those of its measures.
inline void Engine::merge_all(const Sums& sums) {
    for (const auto& [name, sum] : sums.measures) check_capacity(name, *sum);
    for (const auto& [name, sum] : sums.measures) find_or_make(name).settled().merge(*sum);
    for (const auto& [position, sum] : sums.pairs) pairs_.at(position)->merge(*sum);
}

/// Merges if no measure has to be created and no error can occur: no Python code runs on the way. Otherwise returns
/// false and changes nothing.
inline bool Engine::merge_existing(const Engine& other) noexcept {
    for (std::size_t i = 0; i < other.entries_.size(); ++i) {
        QueuedMeasure* const here = find(other.entries_[i].name.ptr(), i);
        if (here == nullptr || !has_capacity(here->settled(), other.entries_[i].measure->settled())) return false;
    }
    for (std::size_t i = 0; i < other.entries_.size(); ++i) {
        find(other.entries_[i].name.ptr(), i)->settled().merge(other.entries_[i].measure->settled());
    }
    for (std::size_t i = 0; i < pairs_.size(); ++i) pairs_[i]->merge(*other.pairs_[i]);
    return true;
}

inline void Engine::merge(const Engine& other) {
    if (pairs_.size() == other.pairs_.size() && merge_existing(other)) return;
    Sums sums;
    for (const Entry& entry : other.entries_) {
        sums.measures.push_back({entry.name, std::shared_ptr<const Measure>(entry.measure, &entry.measure->settled())});
    }
    for (const auto& pair : other.pairs_) sums.pairs.emplace_back(sums.pairs.size(), pair);
    merge_all(sums);
}

}  // namespace pyml
