/// The extension module core._meter: the C++ engine of the meter as Python sees it. It converts and decides nothing.
///
/// Plain floats and contiguous arrays of known measures take a short way, on CPython's vectorcall form and without an
/// allocation. All else goes through core.meter.intake, in Python, and comes back in plain form.
#define PY_SSIZE_T_CLEAN
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "measure.hpp"
#include "queued_measure.hpp"
#include "simd.hpp"

namespace py = pybind11;

namespace pyml {
namespace {

/// Arrays from here on are summed without the GIL, apart, and merged when they are done.
constexpr std::size_t kLargeArray = 16384;

/// The samples of one update may be as many as this; see core.meter.inputs.
constexpr long long kMostSamples = 1LL << 53;

/// Counts from 2^126 are refused (core.meter.measure): the shift of their upper half.
constexpr int kCountBits = 126 - 64;

using AddArray = void (*)(Measure&, const void*, std::size_t, Level);

template <class T>
void add_array_of(Measure& measure, const void* data, std::size_t size, Level level) {
    measure.add_array(static_cast<const T*>(data), size, level);
}

/// How the two-byte void dtype that is core.meter.exact.BFLOAT16 is read; a caller's own void dtypes are refused.
enum class Voids { refused, bfloat16 };

/// How to add the elements of a native dtype, or null if a meter does not take it.
AddArray adder_of(const py::dtype& dtype, Voids voids) {
    constexpr int kLongDouble = py::detail::npy_api::NPY_LONGDOUBLE_;
    const auto size = dtype.itemsize();
    switch (dtype.kind()) {
        case 'f':
            if (dtype.num() == kLongDouble) return nullptr;
            return size == 8 ? add_array_of<double> : size == 4 ? add_array_of<float> : add_array_of<Float16>;
        case 'i':
            return size == 8   ? add_array_of<std::int64_t>
                   : size == 4 ? add_array_of<std::int32_t>
                   : size == 2 ? add_array_of<std::int16_t>
                               : add_array_of<std::int8_t>;
        case 'u':
            return size == 8   ? add_array_of<std::uint64_t>
                   : size == 4 ? add_array_of<std::uint32_t>
                   : size == 2 ? add_array_of<std::uint16_t>
                               : add_array_of<std::uint8_t>;
        case 'b':
            return add_array_of<Bool>;
        case 'V':
            return voids == Voids::bfloat16 ? add_array_of<BFloat16> : nullptr;
        default:
            return nullptr;
    }
}

/// A value in plain form: one float, or the elements of a contiguous, aligned, native array. Borrows the array's data.
struct Plain {
    double number;
    AddArray add_array;  ///< null for a float
    const void* data;
    std::size_t size;
};

bool read_array(PyObject* object, Plain& plain, Voids voids) {
    const auto array = py::reinterpret_borrow<py::array>(object);
    constexpr int kContiguous = py::array::c_style | py::array::f_style;
    const int flags = array.flags();
    const py::dtype dtype = array.dtype();
    const char order = dtype.byteorder();
    const bool is_plain = array.ndim() > 0 && (flags & kContiguous) != 0 &&
                          (flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0 && (order == '=' || order == '|');
    if (!is_plain) return false;
    plain.add_array = adder_of(dtype, voids);
    plain.data = array.data();
    plain.size = static_cast<std::size_t>(array.size());
    return plain.add_array != nullptr;
}

/// Reads a caller's value; false for all but floats (numpy.float64 is one), integers that are doubles, bools, and plain
/// arrays of no subclass.
bool read_plain(PyObject* object, Plain& plain) {
    constexpr long long kExact = 1LL << 53;
    plain.add_array = nullptr;
    if (PyFloat_CheckExact(object)) {
        plain.number = PyFloat_AS_DOUBLE(object);
        return true;
    }
    if (Py_TYPE(object) == py::detail::npy_api::get().PyArray_Type_) return read_array(object, plain, Voids::refused);
    if (PyLong_CheckExact(object) || PyBool_Check(object)) {
        int overflow = 0;
        const long long integer = PyLong_AsLongLongAndOverflow(object, &overflow);
        plain.number = static_cast<double>(integer);
        return overflow == 0 && -kExact <= integer && integer <= kExact;
    }
    if (!PyFloat_Check(object)) return false;
    plain.number = PyFloat_AS_DOUBLE(object);
    return true;
}

/// int.from_bytes(bytes, "little", signed=True)
py::object to_int(const std::uint8_t* bytes, std::size_t size) {
    static PyObject* const from_bytes = PyObject_GetAttrString(reinterpret_cast<PyObject*>(&PyLong_Type), "from_bytes");
    static PyObject* const little = PyUnicode_InternFromString("little");
    static PyObject* const keywords = Py_BuildValue("(s)", "signed");
    const py::bytes raw(reinterpret_cast<const char*>(bytes), size);
    PyObject* const args[] = {raw.ptr(), little, Py_True};
    PyObject* const integer = PyObject_Vectorcall(from_bytes, args, 2, keywords);
    if (integer == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(integer);
}

py::object to_int(UInt128 value) {
    if (value.high == 0) return py::int_(value.low);
    return py::int_(value.low) | (py::int_(value.high) << py::int_(64));
}

/// What Python calls a measure's state: the fields of core.meter.measure.Measure, in their order.
py::tuple to_fields(const Measure& measure) {
    const Measure::State state = measure.state();
    const bool is_empty = state.k == UInt128{};
    const auto extreme = [&](double x) -> py::object { return is_empty ? py::none() : py::object(py::float_(x)); };
    return py::make_tuple(to_int(state.k), to_int(state.n), to_int(state.s1.data(), state.s1.size()),
                          to_int(state.s2.data(), state.s2.size()), extreme(state.min), extreme(state.max),
                          to_int(state.nan), to_int(state.posinf), to_int(state.neginf));
}

template <std::size_t kBytes>
std::array<std::uint8_t, kBytes> to_bytes(const py::handle& integer, bool is_signed) {
    const py::bytes raw = integer.attr("to_bytes")(kBytes, "little", py::arg("signed") = is_signed);
    const std::string_view view = raw;
    std::array<std::uint8_t, kBytes> bytes;
    std::copy(view.begin(), view.end(), bytes.begin());
    return bytes;
}

UInt128 to_count(const py::handle& integer) {
    const auto bytes = to_bytes<16>(integer, false);
    UInt128 count;
    for (std::size_t i = 0; i < 8; ++i) {
        count.low |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
        count.high |= static_cast<std::uint64_t>(bytes[i + 8]) << (8 * i);
    }
    return count;
}

Measure from_fields(const py::tuple& fields) {
    Measure::State state;
    state.k = to_count(fields[0]);
    state.n = to_count(fields[1]);
    state.s1 = to_bytes<state.s1.size()>(fields[2], true);
    state.s2 = to_bytes<state.s2.size()>(fields[3], true);
    if (!fields[4].is_none()) {
        state.min = fields[4].cast<double>();
        state.max = fields[5].cast<double>();
    }
    state.nan = to_count(fields[6]);
    state.posinf = to_count(fields[7]);
    state.neginf = to_count(fields[8]);
    return Measure::from_state(state);
}

/// Raises the exception that a function of core.meter.intake builds.
template <class... Args>
[[noreturn]] void raise_from_intake(const char* builder, Args&&... args) {
    const py::object error = py::module_::import("core.meter.intake").attr(builder)(std::forward<Args>(args)...);
    PyErr_SetObject(py::type::handle_of(error).ptr(), error.ptr());
    throw py::error_already_set();
}

/// The measures of one meter by name. The GIL guards it: a large array is summed apart, without the GIL, and merged.
class Engine {
public:
    Engine(py::object intake, const std::string& simd)
        : intake_(std::move(intake)),
          level_(level_named(simd).value()),
          refuses_nan_(intake_.attr("refuses_nan").cast<bool>()) {
        clear();
    }

    std::string simd() const { return std::string(level_name(level_)); }

    /// The shortest way: floats by keyword, of measures in the order in which they came first. Likewise.
    bool add_if_floats(PyObject* const* args, Py_ssize_t n_args, PyObject* keywords) noexcept;

    /// The short way: an update of plain values of measures that are here already. Changes nothing if it is not that.
    bool add_if_plain(PyObject* const* args, Py_ssize_t n_args, PyObject* keywords);

    /// Any update.
    void add(const py::object& measures, const py::object& n, const py::dict& values, const py::object& self);

    py::list names() const;
    py::tuple fields(const py::str& name) const;
    py::dict all_fields() const;
    void add_fields(const py::dict& measures);
    void merge(const Engine& other);
    void clear();

private:
    struct Entry {
        py::str name;  ///< interned
        std::shared_ptr<QueuedMeasure> measure;  ///< shared with a merge under way, should another thread clear the engine
    };
    struct Named {
        py::str name;
        std::shared_ptr<const Measure> measure;
    };
    struct Addition {
        QueuedMeasure* measure;
        Plain plain;
    };
    static constexpr std::size_t kMostPlain = 16;  ///< values that the short way takes

    bool prepare(PyObject* name, PyObject* value, Addition& addition, std::size_t position);
    QueuedMeasure* find(PyObject* name, std::size_t position) const noexcept;
    QueuedMeasure& find_or_make(const py::str& name);
    Measure sum_apart(const py::handle& value, std::uint64_t weight) const;
    void merge_all(const std::vector<Named>& sums);
    py::object intake_;
    Level level_;
    bool refuses_nan_;
    std::vector<Entry> entries_;  ///< in the order in which they came
    py::dict positions_;          ///< in entries_, by name
};

/// Names in a call are interned: the same name is the same object, and mostly in the same place.
QueuedMeasure* Engine::find(PyObject* name, std::size_t position) const noexcept {
    if (position < entries_.size() && entries_[position].name.ptr() == name) return entries_[position].measure.get();
    constexpr std::size_t kFew = 8;
    for (std::size_t i = 0; i < std::min(kFew, entries_.size()); ++i) {
        if (entries_[i].name.ptr() == name) return entries_[i].measure.get();
    }
    if (!PyUnicode_CheckExact(name)) return nullptr;
    PyObject* found = PyDict_GetItem(positions_.ptr(), name);
    return found == nullptr ? nullptr : entries_[PyLong_AsSize_t(found)].measure.get();
}

/// By its character: CPython may hold more than one "n".
bool is_n(PyObject* name) noexcept { return PyUnicode_GET_LENGTH(name) == 1 && PyUnicode_READ_CHAR(name, 0) == 'n'; }

bool Engine::prepare(PyObject* name, PyObject* value, Addition& addition, std::size_t position) {
    Plain& plain = addition.plain;
    if (!read_plain(value, plain)) return false;
    if (plain.add_array != nullptr ? refuses_nan_ || plain.size >= kLargeArray : refuses_nan_ && is_nan(plain.number)) {
        return false;
    }
    addition.measure = find(name, position);
    return addition.measure != nullptr;
}

bool Engine::add_if_floats(PyObject* const* args, Py_ssize_t n_args, PyObject* keywords) noexcept {
    if (n_args != 0 || keywords == nullptr || refuses_nan_) return false;
    const auto size = static_cast<std::size_t>(PyTuple_GET_SIZE(keywords));
    if (size > entries_.size()) return false;
    for (std::size_t i = 0; i < size; ++i) {
        PyObject* const name = PyTuple_GET_ITEM(keywords, static_cast<Py_ssize_t>(i));
        if (entries_[i].name.ptr() != name || !PyFloat_CheckExact(args[i]) || is_n(name)) return false;
    }
    for (std::size_t i = 0; i < size; ++i) entries_[i].measure->add(PyFloat_AS_DOUBLE(args[i]));
    return true;
}

bool Engine::add_if_plain(PyObject* const* args, Py_ssize_t n_args, PyObject* keywords) {
    std::array<Addition, kMostPlain> additions;
    std::size_t size = 0;
    std::uint64_t weight = 1;
    bool has_array = false;
    const auto take = [&](PyObject* name, PyObject* value) {
        if (size == kMostPlain || !prepare(name, value, additions[size], size)) return false;
        has_array |= additions[size++].plain.add_array != nullptr;
        return true;
    };
    if (n_args > 0) {
        if (n_args > 1 || !PyDict_CheckExact(args[0])) return false;
        PyObject *name, *value;
        for (Py_ssize_t i = 0; PyDict_Next(args[0], &i, &name, &value);) {
            if (!take(name, value)) return false;
        }
    }
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t i = 0; i < n_keywords; ++i) {
        PyObject* const name = PyTuple_GET_ITEM(keywords, i);
        PyObject* const value = args[n_args + i];
        if (is_n(name)) {
            if (!PyLong_CheckExact(value)) return false;
            int overflow = 0;
            const long long n = PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow != 0 || n < 1 || n > kMostSamples) return false;
            weight = static_cast<std::uint64_t>(n);
        } else if (n_args > 0 || !take(name, value)) {
            return false;
        }
    }
    if (weight != 1 && has_array) return false;
    for (std::size_t i = 0; i < size; ++i) {
        const auto& [measure, plain] = additions[i];
        if (plain.add_array != nullptr) {
            plain.add_array(measure->settled(), plain.data, plain.size, level_);
        } else if (weight == 1) {
            measure->add(plain.number);
        } else {
            measure->settled().add_weighted(plain.number, weight);
        }
    }
    return true;
}

/// The state after one value of an update, apart from the measure that it is for.
Measure Engine::sum_apart(const py::handle& value, std::uint64_t weight) const {
    Measure measure;
    Plain plain;
    if (py::isinstance<py::tuple>(value)) return from_fields(py::reinterpret_borrow<py::tuple>(value));
    if (PyFloat_CheckExact(value.ptr())) {
        measure.add_weighted(PyFloat_AS_DOUBLE(value.ptr()), weight);
    } else if (!read_array(value.ptr(), plain, Voids::bfloat16)) {
        throw py::type_error("core.meter.intake gave a value that is not in plain form");
    } else if (plain.size < kLargeArray) {
        plain.add_array(measure, plain.data, plain.size, level_);
    } else {
        const py::gil_scoped_release without_gil;
        plain.add_array(measure, plain.data, plain.size, level_);
    }
    return measure;
}

void Engine::add(const py::object& measures, const py::object& n, const py::dict& values, const py::object& self) {
    const py::object taken = intake_.attr("take")(measures, n, values, self.attr("update"));
    if (taken.is_none()) return;  // on their way from a device
    const auto [plain_values, weight] = taken.cast<std::pair<py::dict, std::uint64_t>>();
    std::vector<Named> sums;
    for (const auto& [name, value] : plain_values) {
        auto sum = std::make_shared<const Measure>(sum_apart(value, weight));
        if (refuses_nan_ && sum->n_nan() != UInt128{}) raise_from_intake("nan_refused", name, to_int(sum->n_nan()));
        sums.push_back({py::reinterpret_borrow<py::str>(name), std::move(sum)});
    }
    merge_all(sums);
}

/// Adds to each measure, or to none.
void Engine::merge_all(const std::vector<Named>& sums) {
    for (const auto& [name, sum] : sums) {
        UInt128 n_samples = sum->n_samples(), n_nan = sum->n_nan();
        if (QueuedMeasure* here = find(name.ptr(), 0)) {
            n_samples.add(here->settled().n_samples());
            n_nan.add(here->settled().n_nan());
        } else {
            intake_.attr("check_name")(name);
        }
        if (((n_samples.high | n_nan.high) >> kCountBits) != 0) {
            raise_from_intake("check_capacity", name, to_int(n_samples), to_int(n_nan));
        }
    }
    for (const auto& [name, sum] : sums) find_or_make(name).settled().merge(*sum);
}

QueuedMeasure& Engine::find_or_make(const py::str& name) {
    if (QueuedMeasure* here = find(name.ptr(), 0)) return *here;
    PyObject* interned = py::str(name).release().ptr();
    PyUnicode_InternInPlace(&interned);
    auto key = py::reinterpret_steal<py::str>(interned);
    positions_[key] = py::int_(entries_.size());
    entries_.push_back({std::move(key), std::make_shared<QueuedMeasure>(level_)});
    return *entries_.back().measure;
}

py::list Engine::names() const {
    py::list names;
    for (const Entry& entry : entries_) names.append(entry.name);
    return names;
}

py::tuple Engine::fields(const py::str& name) const {
    const py::str exact_name(static_cast<py::handle>(name));  // where a subclass came
    QueuedMeasure* measure = find(exact_name.ptr(), 0);
    if (measure == nullptr) raise_from_intake("unknown_measure", name, names());
    return to_fields(measure->settled());
}

py::dict Engine::all_fields() const {
    py::dict fields;
    for (const Entry& entry : std::vector<Entry>(entries_)) fields[entry.name] = to_fields(entry.measure->settled());
    return fields;
}

void Engine::add_fields(const py::dict& measures) {
    std::vector<Named> sums;
    for (const auto& [name, fields] : measures) {
        auto sum = std::make_shared<const Measure>(from_fields(py::reinterpret_borrow<py::tuple>(fields)));
        sums.push_back({py::reinterpret_borrow<py::str>(name), std::move(sum)});
    }
    merge_all(sums);
}

void Engine::merge(const Engine& other) {
    std::vector<Named> sums;
    for (const Entry& entry : other.entries_) {
        sums.push_back({entry.name, std::shared_ptr<const Measure>(entry.measure, &entry.measure->settled())});
    }
    merge_all(sums);
}

void Engine::clear() {
    entries_.clear();
    positions_.clear();
    const py::list declared = py::module_::import("builtins").attr("sorted")(intake_.attr("declared"));
    for (const auto& name : declared) find_or_make(py::reinterpret_borrow<py::str>(name));
}

/// Engine.update in CPython's vectorcall form: pybind11's own would build a dict first.
PyObject* update(PyObject* self, PyObject* const* args, Py_ssize_t n_args, PyObject* keywords) {
    try {
        auto* const instance = reinterpret_cast<py::detail::instance*>(self);
        auto* const engine = static_cast<Engine*>(instance->get_value_and_holder().value_ptr());
        if (engine == nullptr) throw py::type_error("Engine.__init__() was not called");
        if (!engine->add_if_floats(args, n_args, keywords) && !engine->add_if_plain(args, n_args, keywords)) {
            py::object measures = py::none(), n = py::int_(1);
            py::dict values;
            if (n_args > 1) throw py::type_error("update() takes at most 1 positional argument: a mapping of names to values");
            if (n_args == 1) measures = py::reinterpret_borrow<py::object>(args[0]);
            for (Py_ssize_t i = 0; keywords != nullptr && i < PyTuple_GET_SIZE(keywords); ++i) {
                const auto name = py::reinterpret_borrow<py::str>(PyTuple_GET_ITEM(keywords, i));
                const auto value = py::reinterpret_borrow<py::object>(args[n_args + i]);
                if (is_n(name.ptr())) {
                    n = value;
                } else {
                    values[name] = value;
                }
            }
            engine->add(measures, n, values, py::reinterpret_borrow<py::object>(self));
        }
        Py_RETURN_NONE;
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const py::builtin_exception& error) {
        error.set_error();
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    }
    return nullptr;
}

PyMethodDef kUpdate = {
    "update", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(update)), METH_FASTCALL | METH_KEYWORDS,
    "update($self, measures=None, /, *, n=1, **values)\n--\n\nAdd one update, whole or not at all."};

/// The levels of this processor, the best first.
std::vector<std::string> simd_levels() {
    std::vector<std::string> names;
    for (const NamedLevel& entry : kLevels) {
        if (entry.level <= best_level()) names.insert(names.begin(), std::string(entry.name));
    }
    return names;
}

}  // namespace
}  // namespace pyml

PYBIND11_MODULE(_meter, module) {
    using pyml::Engine;
    module.doc() = "The C++ engine of the meter; use it through core.utils.meters.Meter.";
    module.def("simd_levels", &pyml::simd_levels, "The SIMD levels that this processor has, the best first.");
    const py::metaclass plain_type(reinterpret_cast<PyObject*>(&PyType_Type));  // so that the stub can say what it is
    py::class_<Engine> engine(module, "Engine", py::is_final(), plain_type, "Exact sums of named measures.");
    engine.def(py::init<py::object, const std::string&>(), py::arg("intake"), py::arg("simd"))
        .def_property_readonly("name", [](const Engine&) { return "c++"; })
        .def_property_readonly("simd", &Engine::simd)
        .def("names", &Engine::names)
        .def("measure", &Engine::fields, py::arg("name"))
        .def("measures", &Engine::all_fields)
        .def("add", &Engine::add_fields, py::arg("measures"))
        .def("merge", &Engine::merge, py::arg("other"))
        .def("clear", &Engine::clear);
    auto* const type = reinterpret_cast<PyTypeObject*>(engine.ptr());
    engine.attr("update") = py::reinterpret_steal<py::object>(PyDescr_NewMethod(type, &pyml::kUpdate));
}
