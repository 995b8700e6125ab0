/// Engine.update and Engine.merge as functions of CPython. A method defined through pybind11 would first build a tuple
/// and a dict, which takes ten times as long as adding a float.
#pragma once

#include <pybind11/pybind11.h>

#include <new>

#include "engine.hpp"
#include "short_path.hpp"

namespace pyml {

namespace py = pybind11;

/// Adds an update that is not plain. Converts the vectorcall arguments to the arguments of Engine::add.
inline void update_in_general(Engine& engine, PyObject* self, PyObject* const* args, Py_ssize_t n_args,
                              PyObject* keywords) {
    if (n_args > 1) throw py::type_error("update() takes at most 1 positional argument: a mapping of names to values");
    py::object measures = py::none(), n = py::int_(1);
    py::dict values;
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
    engine.add(measures, n, values, py::reinterpret_borrow<py::object>(self));
}

inline Engine& engine_of(PyObject* self) {
    auto* const instance = reinterpret_cast<py::detail::instance*>(self);
    auto* const engine = static_cast<Engine*>(instance->get_value_and_holder().value_ptr());
    if (engine == nullptr) throw py::type_error("Engine.__init__() was not called");
    return *engine;
}

/// Calls a function and returns None. C++ exceptions must not reach CPython, so each one is converted to a Python
/// exception.
template <class Call>
PyObject* none_after(Call call) {
    try {
        call();
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

inline PyObject* update(PyObject* self, PyObject* const* args, Py_ssize_t n_args, PyObject* keywords) {
    return none_after([&] {
        Engine& engine = engine_of(self);
        if (!engine.add_if_floats(args, n_args, keywords) && !engine.add_if_plain(args, n_args, keywords)) {
            update_in_general(engine, self, args, n_args, keywords);
        }
    });
}

inline PyObject* merge(PyObject* self, PyObject* other) {
    return none_after([&] {
        if (Py_TYPE(other) != Py_TYPE(self)) throw py::type_error("merge() takes another Engine");
        engine_of(self).merge(engine_of(other));
    });
}

/// The definitions of the methods. They are global variables, because Python keeps pointers to them.
inline PyMethodDef kUpdate = {
    "update", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(update)), METH_FASTCALL | METH_KEYWORDS,
    "update($self, measures=None, /, *, n=1, **values)\n--\n\nAdd an update to all of its measures, or to none."};
inline PyMethodDef kMerge = {"merge", merge, METH_O,
                             "merge($self, other, /)\n--\n\nAdd the observations of another engine."};

}  // namespace pyml
