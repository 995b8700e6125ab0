/// The end of the interpreter, as a daemon thread sees it: the thread may never hold the GIL again.
///
/// CPython ends such a thread by pthread_exit, which unwinds the stack. Destructors would then run without the GIL, or
/// std::terminate would end the process in place of its own exit. So the thread stops where it is.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <chrono>
#include <thread>

namespace pyml {

namespace py = pybind11;

/// Sleeps until the process has ended.
[[noreturn]] inline void wait_for_end() noexcept {
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

/// Releases the GIL while it exists. Takes the place of py::gil_scoped_release, whose destructor ends the process if
/// the interpreter has ended meanwhile.
class WithoutGil {
public:
    WithoutGil() : state_(PyEval_SaveThread()) {}
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;
    ~WithoutGil() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {  // C code throws nothing: this is the unwinding by pthread_exit
            wait_for_end();
        }
    }

private:
    PyThreadState* state_;
};

/// Calls a Python function. While it runs, another thread may take the GIL and end the interpreter.
template <class... Args>
py::object call_python(const py::handle& function, const Args&... args) {
    const std::array<PyObject*, sizeof...(args)> pointers{args.ptr()...};
    PyObject* result = nullptr;
    try {
        result = PyObject_Vectorcall(function.ptr(), pointers.data(), pointers.size(), nullptr);
    } catch (...) {
        wait_for_end();
    }
    if (result == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(result);
}

}  // namespace pyml
