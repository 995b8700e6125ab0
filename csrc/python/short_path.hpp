/// The short paths of Engine.update for plain values of existing measures. They run no Python code except to read a
/// tensor. A meter with pairs does not use them, because the two values of a pair must be checked together.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine.hpp"

namespace pyml {

/// Returns whether a keyword is `n`. The text is compared, because CPython can have more than one string object "n".
inline bool is_n(PyObject* name) noexcept {
    return PyUnicode_GET_LENGTH(name) == 1 && PyUnicode_READ_CHAR(name, 0) == 'n';
}

/// Returns whether one of the keywords is `weights`, which core.meter.intake refuses in a call with arrays.
inline bool has_weights(PyObject* keywords) noexcept {
    const Py_ssize_t size = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    if (size < 2) return false;
    for (Py_ssize_t i = 0; i < size; ++i) {
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, i), "weights") == 0) return true;
    }
    return false;
}

/// Reads one value of an update for the short path. Returns false if the update needs the general path.
inline bool Engine::prepare(PyObject* name, PyObject* object, Addition& addition, std::size_t position) {
    PlainValue& value = addition.value;
    if (!read_plain(object, value)) return false;
    const bool is_one = value.add_array == nullptr && !value.is_list;
    if (refuses_nan_ && (!is_one || is_nan(value.number))) return false;
    if (value.add_array != nullptr && value.size >= kLargeArray) return false;
    addition.measure = find(name, position);
    return addition.measure != nullptr;
}

/// Adds a list of numbers. Reading them cannot fail: read_items() has read them before, and no Python code has run
/// since.
inline void add_items(QueuedMeasure& measure, const PlainValue& value) {
    for (std::size_t i = 0; i < value.size; ++i) {
        double number = 0;
        read_number(value.items[i], number);
        measure.add(number);
    }
}

inline bool Engine::add_if_floats(PyObject* const* args, Py_ssize_t n_args, PyObject* keywords) noexcept {
    if (n_args != 0 || keywords == nullptr || refuses_nan_ || !pairs_.empty()) return false;
    const auto size = static_cast<std::size_t>(PyTuple_GET_SIZE(keywords));
    if (size > entries_.size()) return false;
    for (std::size_t i = 0; i < size; ++i) {
        PyObject* const name = PyTuple_GET_ITEM(keywords, static_cast<Py_ssize_t>(i));
        if (entries_[i].name.ptr() != name || !PyFloat_CheckExact(args[i]) || is_n(name)) return false;
    }
    for (std::size_t i = 0; i < size; ++i) entries_[i].measure->add(PyFloat_AS_DOUBLE(args[i]));
    return true;
}

inline bool Engine::add_if_plain(PyObject* const* args, Py_ssize_t n_args, PyObject* keywords) {
    if (!pairs_.empty()) return false;
    std::array<Addition, kMostPlain> additions;
    std::size_t size = 0;
    std::uint64_t weight = 1;
    bool all_are_one = true, has_tensor = false;
    const auto take = [&](PyObject* name, PyObject* value) {
        if (size == kMostPlain || !prepare(name, value, additions[size], size)) return false;
        const PlainValue& taken = additions[size++].value;
        all_are_one &= taken.add_array == nullptr && !taken.is_list;
        has_tensor |= taken.is_tensor;
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
    if (!all_are_one && (weight != 1 || has_tensor || has_weights(keywords))) return false;
    for (std::size_t i = 0; i < size; ++i) {
        const auto& [measure, value] = additions[i];
        if (value.add_array != nullptr) {
            value.add_array(measure->settled(), value.data, value.size, level_);
        } else if (value.is_list) {
            add_items(*measure, value);
        } else if (weight == 1) {
            measure->add(value.number);
        } else {
            measure->settled().add_weighted(value.number, weight);
        }
    }
    return true;
}

}  // namespace pyml
