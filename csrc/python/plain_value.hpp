/// Reads Python values that need no conversion: numbers, 0-d CPU tensors, lists of numbers and plain NumPy arrays.
///
/// core.meter.intake converts all other values, in Python, to one of these forms.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>

#include "array_value.hpp"
#include "scalar_value.hpp"
#include "tensor_value.hpp"

namespace pyml {

/// A value that the kernels can read: a number, a list of numbers, or the elements of an array. The memory is borrowed: the
/// array or list must outlive this object.
struct PlainValue : ArrayValue {
    double number;     ///< the value, if it is neither an array nor a list
    bool is_list;      ///< whether the value is a list; `size` is then its number of items
    PyObject** items;  ///< the items of a list; may be null if it is empty
    bool is_tensor;    ///< whether the value is a tensor, whose reading may run Python code
};

/// Reads a list or tuple of numbers. Returns false if it holds anything else.
inline bool read_items(PyObject* object, PlainValue& value) {
    const auto size = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(object));
    PyObject** const items = PySequence_Fast_ITEMS(object);
    for (std::size_t i = 0; i < size; ++i) {
        if (!read_number(items[i], value.number)) return false;
    }
    value.is_list = true;
    value.items = items;
    value.size = size;
    return true;
}

/// Reads a value as the caller passed it: a number, a 0-d CPU tensor, a plain array, or a list or tuple of numbers.
/// Returns false for everything else.
inline bool read_plain(PyObject* object, PlainValue& value) {
    value.add_array = nullptr;
    value.is_list = false;
    value.is_tensor = false;
    if (PyFloat_CheckExact(object)) {
        value.number = PyFloat_AS_DOUBLE(object);
        return true;
    }
    // The type must match exactly: in a subclass, such as a masked array, the elements can have another meaning.
    if (is_array(object)) return read_array(object, value, Voids::refused);
    if (PyList_CheckExact(object) || PyTuple_CheckExact(object)) return read_items(object, value);
    if (read_number(object, value.number)) return true;
    value.is_tensor = true;
    return read_tensor(object, value.number);
}

}  // namespace pyml
