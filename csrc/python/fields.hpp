/// Conversion of the state of a measure or pair to and from Python: a tuple of the fields of core.meter.measure.Measure
/// or core.meter.pair.Pair, in the same order.
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "../measure.hpp"
#include "../pair.hpp"
#include "../wide_int.hpp"

namespace pyml {

namespace py = pybind11;

/// Returns int.from_bytes(bytes, "little", signed=True). The method and its arguments are looked up once, because the
/// look-up takes as long as the conversion.
inline py::object to_int(const std::uint8_t* bytes, std::size_t size) {
    static PyObject* const from_bytes = PyObject_GetAttrString(reinterpret_cast<PyObject*>(&PyLong_Type), "from_bytes");
    static PyObject* const little = PyUnicode_InternFromString("little");
    static PyObject* const keywords = Py_BuildValue("(s)", "signed");
    const py::bytes raw(reinterpret_cast<const char*>(bytes), size);
    PyObject* const args[] = {raw.ptr(), little, Py_True};
    PyObject* const integer = PyObject_Vectorcall(from_bytes, args, 2, keywords);
    if (integer == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(integer);
}

inline py::object to_int(UInt128 value) {
    if (value.high == 0) return py::int_(value.low);
    return py::int_(value.low) | (py::int_(value.high) << py::int_(64));
}

/// Returns integer.to_bytes(kBytes, "little", signed=is_signed). Raises OverflowError if it does not fit.
template <std::size_t kBytes>
std::array<std::uint8_t, kBytes> to_bytes(const py::handle& integer, bool is_signed) {
    static PyObject* const method = PyObject_GetAttrString(reinterpret_cast<PyObject*>(&PyLong_Type), "to_bytes");
    static PyObject* const size = PyLong_FromSize_t(kBytes);
    static PyObject* const little = PyUnicode_InternFromString("little");
    static PyObject* const keywords = Py_BuildValue("(s)", "signed");
    PyObject* const args[] = {integer.ptr(), size, little, is_signed ? Py_True : Py_False};
    const auto raw = py::reinterpret_steal<py::bytes>(PyObject_Vectorcall(method, args, 3, keywords));
    if (!raw) throw py::error_already_set();
    const std::string_view view = raw;
    std::array<std::uint8_t, kBytes> bytes;
    std::copy(view.begin(), view.end(), bytes.begin());
    return bytes;
}

inline UInt128 to_count(const py::handle& integer) {
    if (PyLong_Check(integer.ptr())) {
        const unsigned long long small = PyLong_AsUnsignedLongLong(integer.ptr());
        if (PyErr_Occurred() == nullptr) return {small, 0};
        PyErr_Clear();  // it is larger, or negative
    }
    const auto bytes = to_bytes<16>(integer, false);
    UInt128 count;
    for (std::size_t i = 0; i < 8; ++i) {
        count.low |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
        count.high |= static_cast<std::uint64_t>(bytes[i + 8]) << (8 * i);
    }
    return count;
}

/// Returns the fields of a measure. min and max are None if there are no observations.
inline py::tuple to_fields(const Measure::State& state) {
    const bool is_empty = state.k == UInt128{};
    const auto extreme = [&](double x) -> py::object { return is_empty ? py::none() : py::object(py::float_(x)); };
    return py::make_tuple(to_int(state.k), to_int(state.n), to_int(state.s1.data(), state.s1.size()),
                          to_int(state.s2.data(), state.s2.size()), extreme(state.min), extreme(state.max),
                          to_int(state.nan), to_int(state.posinf), to_int(state.neginf));
}

inline py::tuple to_fields(const Pair& pair) {
    const Pair::State state = pair.state();
    return py::make_tuple(to_fields(state.a), to_fields(state.b), to_int(state.ab.data(), state.ab.size()),
                          to_int(state.nan), to_int(state.inf));
}

/// The inverse of to_fields(). Raises OverflowError if an integer does not fit into the storage.
inline Measure::State state_from_fields(const py::tuple& fields) {
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
    return state;
}

inline Pair pair_from_fields(const py::tuple& fields) {
    Pair::State state;
    state.a = state_from_fields(fields[0]);
    state.b = state_from_fields(fields[1]);
    state.ab = to_bytes<state.ab.size()>(fields[2], true);
    state.nan = to_count(fields[3]);
    state.inf = to_count(fields[4]);
    return Pair::from_state(state);
}

}  // namespace pyml
