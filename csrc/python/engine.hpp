/// The C++ engine: the named measures of one meter, and its pairs.
///
/// An update changes all of its measures or none. Plain values of existing measures use the short path in
/// short_path.hpp. All other updates go through core.meter.intake.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "../pair.hpp"
#include "../queued_measure.hpp"
#include "../simd.hpp"
#include "fields.hpp"
#include "interpreter_end.hpp"
#include "pair_values.hpp"
#include "plain_value.hpp"

namespace pyml {

namespace py = pybind11;

/// The largest `n` of one update. A test checks that it equals core.meter.inputs.MOST_SAMPLES.
constexpr long long kMostSamples = 1LL << 53;

/// Counts of 2^kCountBits and more are refused. The storage has two more bits, so that the sum of two counts cannot
/// overflow. A test checks that the value equals core.meter.measure.COUNT_BITS.
constexpr int kCountBits = 126;

/// Arrays of at least this size are summed without the GIL into a separate measure, which is then merged. For smaller
/// arrays, releasing the GIL and merging cost more time than they save.
constexpr std::size_t kLargeArray = 16384;

/// Raises the exception that a function of core.meter.intake builds.
template <class... Args>
[[noreturn]] void raise_from_intake(const char* builder, Args&&... args) {
    const py::object build = py::module_::import("core.meter.intake").attr(builder);
    const py::object error = call_python(build, std::forward<Args>(args)...);
    PyErr_SetObject(py::type::handle_of(error).ptr(), error.ptr());
    throw py::error_already_set();
}

/// The GIL guards an engine: while a large array is summed without the GIL, no measure of the engine is touched.
class Engine {
public:
    Engine(py::object intake, const std::string& simd)
        : intake_(std::move(intake)),
          level_(level_named(simd).value()),
          refuses_nan_(intake_.attr("refuses_nan").cast<bool>()) {
        clear();
    }

    std::string simd() const { return std::string(level_name(level_)); }

    /// The shortest path: floats passed by keyword, in the order in which the meter's first measures were created.
    /// Returns false and changes nothing if the update is of another kind.
    bool add_if_floats(PyObject* const* args, Py_ssize_t n_args, PyObject* keywords) noexcept;

    /// The short path: plain values of existing measures. Returns false and changes nothing if the update is of another
    /// kind.
    bool add_if_plain(PyObject* const* args, Py_ssize_t n_args, PyObject* keywords);

    /// Adds an update of any kind. `self` is the Python object of this engine; its `update` is called later with the
    /// values of CUDA tensors, once they have been copied.
    void add(const py::object& measures, const py::object& n, const py::dict& values, const py::object& self);

    py::list names() const;
    py::tuple fields(const py::str& name) const;
    py::dict all_fields() const;
    py::tuple pair_fields(std::size_t position) const;
    py::tuple state() const;
    void add_fields(const py::dict& measures, const py::list& pairs);
    void merge(const Engine& other);
    void clear();

private:
    struct Entry {
        py::str name;                            ///< an interned string
        std::shared_ptr<QueuedMeasure> measure;  ///< shared, so that a merge can finish if a thread clears the engine
    };
    struct Named {
        py::str name;
        std::shared_ptr<const Measure> measure;
    };
    struct Addition {
        QueuedMeasure* measure;
        PlainValue value;
    };
    struct Sums {
        std::vector<Named> measures;
        std::vector<std::pair<std::size_t, std::shared_ptr<const Pair>>> pairs;  ///< each with its position in pairs_
    };
    static constexpr std::size_t kMostPlain = 16;  ///< the most values in one update on the short path

    bool prepare(PyObject* name, PyObject* value, Addition& addition, std::size_t position);
    QueuedMeasure* find(PyObject* name, std::size_t position) const noexcept;
    QueuedMeasure& find_or_make(const py::str& name);
    Measure sum_apart(const py::handle& value, std::uint64_t weight) const;
    Pair pair_of_blocks(const py::object& first, const py::object& second) const;
    Pair pair_apart(const py::tuple& pair, const py::dict& values, const std::vector<Named>& sums,
                    std::uint64_t weight) const;
    void check_capacity(const py::str& name, const Measure& sum) const;
    bool merge_existing(const Engine& other) noexcept;
    void merge_all(const Sums& sums);

    py::object intake_;
    Level level_;
    bool refuses_nan_;
    std::vector<Entry> entries_;  ///< in order of creation
    py::dict positions_;          ///< from name to index in entries_
    std::vector<std::shared_ptr<Pair>> pairs_;  ///< in the order of core.meter.intake.Intake.pairs
};

/// Finds a measure by name, or returns null. Pointers are compared first: keyword names are interned, so that equal
/// names are usually the same object, and most calls pass the names in the same order as the call before.
inline QueuedMeasure* Engine::find(PyObject* name, std::size_t position) const noexcept {
    if (position < entries_.size() && entries_[position].name.ptr() == name) return entries_[position].measure.get();
    constexpr std::size_t kFew = 8;  // beyond this many, hashing is faster than comparing pointers
    for (std::size_t i = 0; i < std::min(kFew, entries_.size()); ++i) {
        if (entries_[i].name.ptr() == name) return entries_[i].measure.get();
    }
    if (!PyUnicode_CheckExact(name)) return nullptr;
    PyObject* found = PyDict_GetItem(positions_.ptr(), name);
    return found == nullptr ? nullptr : entries_[PyLong_AsSize_t(found)].measure.get();
}

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
        const bool are_plain = read_array(block_a.ptr(), a, Voids::bfloat16) && read_array(block_b.ptr(), b, Voids::bfloat16);
        if (!are_plain || a.size != b.size) throw py::type_error("core.meter.intake returned blocks that do not match");
        const Measure sum_a = sum_apart(block_a, 1), sum_b = sum_apart(block_b, 1);
        const WithoutGil without_gil;
        add_pair_array(state, a, b, sum_a, sum_b, level_);
    }
    return state;
}

inline void Engine::add(const py::object& measures, const py::object& n, const py::dict& values,
                        const py::object& self) {
    const py::object taken = call_python(intake_.attr("take"), measures, n, values, py::object(self.attr("update")));
    if (taken.is_none()) return;  // the values are being copied from a CUDA device
    // The pins keep the arrays from being resized by other threads while they are read without the GIL.
    const auto [plain_values, weight, pairs, pins] =
        taken.cast<std::tuple<py::dict, std::uint64_t, py::list, py::object>>();
    Sums sums;
    for (const auto& [name, value] : plain_values) {
        auto sum = std::make_shared<const Measure>(sum_apart(value, weight));
        if (refuses_nan_ && sum->n_nan() != UInt128{}) raise_from_intake("nan_refused", name, to_int(sum->n_nan()));
        sums.measures.push_back({py::reinterpret_borrow<py::str>(name), std::move(sum)});
    }
    for (const auto& each : pairs) {
        const auto pair = py::reinterpret_borrow<py::tuple>(each);
        sums.pairs.emplace_back(pair[0].cast<std::size_t>(),
                                std::make_shared<const Pair>(pair_apart(pair, plain_values, sums.measures, weight)));
    }
    merge_all(sums);
}

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

inline QueuedMeasure& Engine::find_or_make(const py::str& name) {
    if (QueuedMeasure* here = find(name.ptr(), 0)) return *here;
    PyObject* interned = py::str(name).release().ptr();
    PyUnicode_InternInPlace(&interned);
    auto key = py::reinterpret_steal<py::str>(interned);
    positions_[key] = py::int_(entries_.size());
    entries_.push_back({std::move(key), std::make_shared<QueuedMeasure>(level_)});
    return *entries_.back().measure;
}

inline py::list Engine::names() const {
    py::list names;
    for (const Entry& entry : entries_) names.append(entry.name);
    return names;
}

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

inline void Engine::clear() {
    entries_.clear();
    positions_.clear();
    py::list declared(intake_.attr("declared"));
    if (PyList_Sort(declared.ptr()) != 0) throw py::error_already_set();
    for (const auto& name : declared) find_or_make(py::reinterpret_borrow<py::str>(name));
    pairs_.clear();
    for (std::size_t i = py::len(intake_.attr("pairs")); i > 0; --i) pairs_.push_back(std::make_shared<Pair>());
}

}  // namespace pyml
