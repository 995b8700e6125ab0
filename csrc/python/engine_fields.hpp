/// Engine: its state as tuples of Python numbers, written and read.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "engine.hpp"
#include "fields.hpp"

namespace pyml {

namespace py = pybind11;

inline py::tuple Engine::fields(const py::str& name) const {
    const py::str exact_name(static_cast<py::handle>(name));  // the caller's name may be of a subclass of str
    QueuedMeasure* measure = find(exact_name.ptr(), 0);
    if (measure == nullptr) raise_from_intake("unknown_measure", name, names());
    return to_fields(measure->settled().state());
}

inline py::dict Engine::all_fields() const {
    py::dict fields;
    // Iterates over a copy: creating Python objects can start the garbage collector, which can run code that adds
    // measures.
    for (const Entry& entry : std::vector<Entry>(entries_)) {
        fields[entry.name] = to_fields(entry.measure->settled().state());
    }
    return fields;
}

inline py::tuple Engine::pair_fields(std::size_t position) const { return to_fields(*pairs_.at(position)); }

inline py::tuple Engine::state() const {
    py::list pairs;
    for (const auto& pair : pairs_) pairs.append(to_fields(*pair));
    return py::make_tuple(all_fields(), pairs);
}

inline void Engine::add_fields(const py::dict& measures, const py::list& pairs) {
    Sums sums;
    for (const auto& [name, fields] : measures) {
        const Measure::State state = state_from_fields(py::reinterpret_borrow<py::tuple>(fields));
        auto sum = std::make_shared<const Measure>(Measure::from_state(state));
        sums.measures.push_back({py::reinterpret_borrow<py::str>(name), std::move(sum)});
    }
    for (const auto& fields : pairs) {
        const Pair sum = pair_from_fields(py::reinterpret_borrow<py::tuple>(fields));
        sums.pairs.emplace_back(sums.pairs.size(), std::make_shared<const Pair>(sum));
    }
    merge_all(sums);
}

}  // namespace pyml
