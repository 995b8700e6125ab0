/// Reads Python and NumPy scalars without running Python code.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "../float_bits.hpp"

namespace pyml {

namespace py = pybind11;

/// Integers up to this magnitude can be converted to double exactly.
constexpr long long kExactAsDouble = 1LL << 53;

/// Reads the number at an address. Returns false for an integer that a double may not represent exactly.
using ReadNumber = bool (*)(const void* data, double& number);

template <class T>
bool read_number_of(const void* data, double& number) {
    T x;
    std::memcpy(&x, data, sizeof x);
    if constexpr (std::is_integral_v<T>) {
        number = static_cast<double>(x);
        return sizeof x < 8 || (-kExactAsDouble <= static_cast<long long>(x) && static_cast<long long>(x) <= kExactAsDouble);
    } else if constexpr (std::is_floating_point_v<T>) {
        number = widen(x);
        return true;
    } else {
        number = widen(static_cast<std::conditional_t<std::is_same_v<T, Bool>, double, float>>(plain(x)));
        return true;
    }
}

/// A number type: the Python object that identifies it, and the function that reads a number of this type.
struct NumberType {
    const void* object;
    ReadNumber read;
};

inline ReadNumber reader_of(const std::vector<NumberType>& types, const void* object) noexcept {
    for (const NumberType& each : types) {
        if (each.object == object) return each.read;
    }
    return nullptr;
}

/// Returns an attribute of a module. Its reference is never released, so that the pointer stays valid.
inline const PyObject* kept(const py::handle& module, const char* name) {
    return py::object(module.attr(name)).release().ptr();
}

inline std::vector<NumberType> number_types(const py::handle& numpy) {
    const auto object = [&](const char* name) { return kept(numpy, name); };
    return {
        {object("float32"), read_number_of<float>},         {object("float64"), read_number_of<double>},
        {object("int64"), read_number_of<std::int64_t>},    {object("int32"), read_number_of<std::int32_t>},
        {object("float16"), read_number_of<Float16>},       {object("bool_"), read_number_of<Bool>},
        {object("int16"), read_number_of<std::int16_t>},    {object("int8"), read_number_of<std::int8_t>},
        {object("uint8"), read_number_of<std::uint8_t>},
    };
}

/// Reads a NumPy scalar. The value is stored after the object header; this layout is part of NumPy's C API
/// (arrayscalars.h).
inline bool read_numpy_scalar(PyObject* object, double& number) {
    struct Scalar {
        PyObject_HEAD;
        double value;  // the type with the strictest alignment that is read here
    };
    static const auto* const types = new std::vector<NumberType>(number_types(py::module_::import("numpy")));
    const ReadNumber read = reader_of(*types, Py_TYPE(object));
    return read != nullptr && read(reinterpret_cast<const char*>(object) + offsetof(Scalar, value), number);
}

/// Reads a Python or NumPy number without running Python code. Returns false for all other objects, and for integers
/// that a double may not represent exactly.
inline bool read_number(PyObject* object, double& number) {
    if (PyFloat_CheckExact(object)) {
        number = PyFloat_AS_DOUBLE(object);
        return true;
    }
    if (PyLong_CheckExact(object) || PyBool_Check(object)) {
        int overflow = 0;
        const long long integer = PyLong_AsLongLongAndOverflow(object, &overflow);
        number = static_cast<double>(integer);
        return overflow == 0 && -kExactAsDouble <= integer && integer <= kExactAsDouble;
    }
    if (PyFloat_Check(object)) {  // numpy.float64 is a subclass
        number = PyFloat_AS_DOUBLE(object);
        return true;
    }
    return read_numpy_scalar(object, number);
}

}  // namespace pyml
