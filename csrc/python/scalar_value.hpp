/// Reads Python and NumPy scalars without running Python code, and 0-d CPU tensors through a few of their attributes.
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

inline std::vector<NumberType> number_types(const py::handle& module, bool has_bfloat16) {
    const auto object = [&](const char* name) { return kept(module, name); };
    std::vector<NumberType> types{
        {object("float32"), read_number_of<float>},         {object("float64"), read_number_of<double>},
        {object("int64"), read_number_of<std::int64_t>},    {object("int32"), read_number_of<std::int32_t>},
        {object("float16"), read_number_of<Float16>},       {object(has_bfloat16 ? "bool" : "bool_"), read_number_of<Bool>},
        {object("int16"), read_number_of<std::int16_t>},    {object("int8"), read_number_of<std::int8_t>},
        {object("uint8"), read_number_of<std::uint8_t>},
    };
    if (has_bfloat16) types.push_back({object("bfloat16"), read_number_of<BFloat16>});
    return types;
}

/// Reads a NumPy scalar. The value is stored after the object header; this layout is part of NumPy's C API
/// (arrayscalars.h).
inline bool read_numpy_scalar(PyObject* object, double& number) {
    struct Scalar {
        PyObject_HEAD;
        double value;  // the type with the strictest alignment that is read here
    };
    static const auto* const types = new std::vector<NumberType>(number_types(py::module_::import("numpy"), false));
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

/// The objects of torch that are needed to read a tensor. The extension never imports torch itself.
struct Torch {
    const PyObject *tensor, *parameter;
    std::vector<NumberType> dtypes;

    /// Returns null if torch has not been imported, or not completely.
    static const Torch* find() {
        static const Torch* torch = nullptr;
        if (torch == nullptr) {
            PyObject* const module = PyDict_GetItemString(PyImport_GetModuleDict(), "torch");
            if (module == nullptr) return nullptr;
            try {
                const py::handle handle(module);
                torch = new Torch{kept(handle, "Tensor"), kept(handle.attr("nn"), "Parameter"),
                                  number_types(handle, true)};
            } catch (const py::error_already_set&) {
                return nullptr;
            }
        }
        return torch;
    }
};

/// Reads a 0-d tensor in CPU memory. Returns false for all other objects, and for a tensor without readable memory.
inline bool read_tensor(PyObject* object, double& number) {
    static PyObject* const is_cpu = PyUnicode_InternFromString("is_cpu");
    static PyObject* const ndim = PyUnicode_InternFromString("ndim");
    static PyObject* const dtype = PyUnicode_InternFromString("dtype");
    static PyObject* const is_neg = PyUnicode_InternFromString("is_neg");
    static PyObject* const data_ptr = PyUnicode_InternFromString("data_ptr");
    const Torch* const torch = Torch::find();
    const auto* const type = reinterpret_cast<const PyObject*>(Py_TYPE(object));
    if (torch == nullptr || (type != torch->tensor && type != torch->parameter)) return false;
    const auto own = [](PyObject* result) { return py::reinterpret_steal<py::object>(result); };
    const py::object on_cpu = own(PyObject_GetAttr(object, is_cpu));
    const py::object dimensions = on_cpu.is(py::handle(Py_True)) ? own(PyObject_GetAttr(object, ndim)) : py::object();
    if (dimensions && PyLong_AsLong(dimensions.ptr()) == 0) {
        const py::object its_dtype = own(PyObject_GetAttr(object, dtype));
        const ReadNumber read = reader_of(torch->dtypes, its_dtype.ptr());
        const py::object negated = read == nullptr ? py::object() : own(PyObject_CallMethodNoArgs(object, is_neg));
        if (negated.is(py::handle(Py_False))) {  // a lazily negated tensor stores the value with the opposite sign
            const py::object address = own(PyObject_CallMethodNoArgs(object, data_ptr));
            const void* const data = address ? PyLong_AsVoidPtr(address.ptr()) : nullptr;
            if (data != nullptr && read(data, number)) return true;
        }
    }
    PyErr_Clear();  // the general path will report what is wrong
    return false;
}

}  // namespace pyml
