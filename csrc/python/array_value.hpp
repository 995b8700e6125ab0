/// Reads NumPy arrays that need no conversion: their layout, their dtype, and the functions for its elements.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>

#include "../measure.hpp"
#include "../operand.hpp"
#include "../simd.hpp"

namespace pyml {

namespace py = pybind11;

/// Adds the elements data[0..size) of one dtype to a measure.
using AddArray = void (*)(Measure& measure, const void* data, std::size_t size, Level level);

template <class T>
void add_array_of(Measure& measure, const void* data, std::size_t size, Level level) {
    measure.add_array(static_cast<const T*>(data), size, level);
}

/// Decodes the elements data[begin..begin + size) of one dtype.
using ReadOperands = void (*)(const void* data, std::size_t begin, std::size_t size, Operand* operands);

template <class T>
void read_operands_of(const void* data, std::size_t begin, std::size_t size, Operand* operands) {
    const T* elements = static_cast<const T*>(data) + begin;
    for (std::size_t i = 0; i < size; ++i) operands[i] = operand_of(elements[i]);
}

/// Converts the elements data[begin..begin + size) of one dtype to doubles. Returns whether all conversions are exact.
using ReadDoubles = bool (*)(const void* data, std::size_t begin, std::size_t size, double* doubles);

template <class T>
bool read_doubles_of(const void* data, std::size_t begin, std::size_t size, double* doubles) {
    const T* elements = static_cast<const T*>(data) + begin;
    bool exact = true;
    for (std::size_t i = 0; i < size; ++i) doubles[i] = double_of(elements[i], exact);
    return exact;
}

/// The functions for the elements of one dtype. They are null if the meter does not accept the dtype.
struct Elements {
    AddArray add_array = nullptr;
    ReadOperands read_operands = nullptr;
    ReadDoubles read_doubles = nullptr;
};

template <class T>
constexpr Elements elements_of{add_array_of<T>, read_operands_of<T>, read_doubles_of<T>};

/// Whether a two-byte void dtype is read as bfloat16. NumPy has no bfloat16, so core.meter.exact.BFLOAT16 is a void
/// dtype. In an array passed by the user, a void dtype has another meaning and is refused.
enum class Voids { refused, bfloat16 };

/// Returns the functions for the elements of a native dtype.
inline Elements elements_of_dtype(const py::dtype& dtype, Voids voids) {
    constexpr int kLongDouble = py::detail::npy_api::NPY_LONGDOUBLE_;
    const auto size = dtype.itemsize();
    switch (dtype.kind()) {
        case 'f':
            if (dtype.num() == kLongDouble) return {};
            return size == 8 ? elements_of<double> : size == 4 ? elements_of<float> : elements_of<Float16>;
        case 'i':
            return size == 8   ? elements_of<std::int64_t>
                   : size == 4 ? elements_of<std::int32_t>
                   : size == 2 ? elements_of<std::int16_t>
                               : elements_of<std::int8_t>;
        case 'u':
            return size == 8   ? elements_of<std::uint64_t>
                   : size == 4 ? elements_of<std::uint32_t>
                   : size == 2 ? elements_of<std::uint16_t>
                               : elements_of<std::uint8_t>;
        case 'b':
            return elements_of<Bool>;
        case 'V':
            return voids == Voids::bfloat16 ? elements_of<BFloat16> : Elements{};
        default:
            return {};
    }
}

/// The elements of an array that is contiguous, aligned and in native byte order. The memory is borrowed: the array must
/// outlive this object.
struct ArrayValue {
    AddArray add_array;  ///< null if the value is not an array
    ReadOperands read_operands;
    ReadDoubles read_doubles;
    const void* data;
    std::size_t size;  ///< number of elements
};

inline bool is_array(PyObject* object) { return Py_TYPE(object) == py::detail::npy_api::get().PyArray_Type_; }

/// Reads a NumPy array. Returns false if its layout, byte order or dtype needs a conversion first.
inline bool read_array(PyObject* object, ArrayValue& value, Voids voids) {
    const auto array = py::reinterpret_borrow<py::array>(object);
    constexpr int kContiguous = py::array::c_style | py::array::f_style;
    const int flags = array.flags();
    const py::dtype dtype = array.dtype();
    const char order = dtype.byteorder();
    const bool is_plain = array.ndim() > 0 && (flags & kContiguous) != 0 &&
                          (flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0 && (order == '=' || order == '|');
    if (!is_plain) return false;
    const Elements elements = elements_of_dtype(dtype, voids);
    value.add_array = elements.add_array;
    value.read_operands = elements.read_operands;
    value.read_doubles = elements.read_doubles;
    value.data = array.data();
    value.size = static_cast<std::size_t>(array.size());
    return value.add_array != nullptr;
}

}  // namespace pyml
