/// Engine: the values of one update, summed apart, so that nothing changes if one of them is refused.
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine.hpp"
#include "fields.hpp"
#include "interpreter_end.hpp"
#include "pair_values.hpp"

namespace pyml {

namespace py = pybind11;

/// Returns the sum of one value of an update as a separate measure, so that nothing changes if another value is
/// refused.
inline Measure Engine::sum_apart(const py::handle& object, std::uint64_t weight) const {
    Measure measure;
    PlainValue value;
    if (py::isinstance<py::tuple>(object)) {
        return Measure::from_state(state_from_fields(py::reinterpret_borrow<py::tuple>(object)));
    }
    if (PyFloat_CheckExact(object.ptr())) {
        measure.add_weighted(PyFloat_AS_DOUBLE(object.ptr()), weight);
    } else if (!is_array(object.ptr())) {
        const py::object next_block = object.attr("reader")();  // core.meter.blocks.Blocks
        for (py::object block = call_python(next_block); !block.is_none(); block = call_python(next_block)) {
            measure.merge(sum_apart(block, weight));
        }
    } else if (!read_array(object.ptr(), value, Voids::bfloat16)) {
        throw py::type_error("core.meter.intake returned a value that is not in plain form");
    } else if (value.size < kLargeArray) {
        value.add_array(measure, value.data, value.size, level_);
    } else {
        const WithoutGil without_gil;
        value.add_array(measure, value.data, value.size, level_);
    }
    return measure;
}

/// Returns the sums of a pair for one update as a separate Pair. `sums` holds the update's measures, which have been
/// summed already. `pair` is (position, name, other name, state or None).
inline Pair Engine::pair_apart(const py::tuple& pair, const py::dict& values, const std::vector<Named>& sums,
                               std::uint64_t weight) const {
    if (!pair[3].is_none()) return pair_from_fields(pair[3]);
    const py::object first = values[pair[1]], second = values[pair[2]];
    if (!is_array(first.ptr()) && !PyFloat_CheckExact(first.ptr())) return pair_of_blocks(first, second);
    const auto read = [&](const py::handle& name) {
        PlainValue value;
        const py::object object = values[name];
        if (!PyFloat_CheckExact(object.ptr()) && read_array(object.ptr(), value, Voids::bfloat16)) return value;
        value.add_array = nullptr;
        value.number = PyFloat_AsDouble(object.ptr());
        return value;
    };
    const auto sum_of = [&](const py::handle& name) -> const Measure& {
        const auto has_name = [&](const Named& each) { return each.name.equal(name); };
        return *std::find_if(sums.begin(), sums.end(), has_name)->measure;
    };
    const PlainValue a = read(pair[1]), b = read(pair[2]);
    Pair state;
    if (a.add_array == nullptr) {
        state.add(operand_of(a.number), operand_of(b.number), weight);
        return state;
    }
    const Measure &sum_a = sum_of(pair[1]), &sum_b = sum_of(pair[2]);
    const WithoutGil without_gil;  // the arrays live as long as `values`
    add_pair_array(state, a, b, sum_a, sum_b, level_);
    return state;
}

/// Returns the sums of a pair whose arrays come in blocks of equal sizes (core.meter.blocks.Blocks).
inline Pair Engine::pair_of_blocks(const py::object& first, const py::object& second) const {
    Pair state;
    const py::object next_a = first.attr("reader")(), next_b = second.attr("reader")();
    for (;;) {
        const py::object block_a = call_python(next_a), block_b = call_python(next_b);
        if (block_a.is_none() || block_b.is_none()) break;
        PlainValue a, b;
        const bool are_plain =
            read_array(block_a.ptr(), a, Voids::bfloat16) && read_array(block_b.ptr(), b, Voids::bfloat16);
        if (!are_plain || a.size != b.size) throw py::type_error("core.meter.intake returned blocks that do not match");
        const Measure sum_a = sum_apart(block_a, 1), sum_b = sum_apart(block_b, 1);
        const WithoutGil without_gil;
        add_pair_array(state, a, b, sum_a, sum_b, level_);
    }
    return state;
}

}  // namespace pyml
