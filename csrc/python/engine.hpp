/// The C++ engine: the named measures of one meter, and its pairs.
///
/// An update changes all of its measures or none. Plain values of existing measures use the short path in
/// short_path.hpp. All other updates go through core.meter.intake, and are summed in engine_sums.hpp. engine_merge.hpp
/// adds sums and other engines; engine_fields.hpp writes and reads the state.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
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
#include "plain_value.hpp"

namespace pyml {

namespace py = pybind11;

/// The largest `n` of one update. A test checks that it equals core.meter.inputs.MOST_SAMPLES.
constexpr long long kMostSamples = 1LL << 53;

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
