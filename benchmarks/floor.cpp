/// What no meter can beat, as Python sees it: a method that does nothing, and a read of an array that only adds up.
/// Built by floor.py for the machine at hand.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstring>

namespace {

PyObject* update(PyObject*, PyObject* const*, Py_ssize_t, PyObject*) { Py_RETURN_NONE; }

/// A plain sum with four accumulators of 64 bytes: as fast as one core reads.
template <class T>
double read(const T* data, Py_ssize_t size) {
    typedef T Vector __attribute__((vector_size(64)));
    constexpr Py_ssize_t kLanes = sizeof(Vector) / sizeof(T);
    Vector sums[4] = {};
    Py_ssize_t i = 0;
    for (; i + 4 * kLanes <= size; i += 4 * kLanes) {
        for (Py_ssize_t j = 0; j < 4; ++j) {
            Vector x;
            std::memcpy(&x, data + i + j * kLanes, sizeof x);
            sums[j] += x;
        }
    }
    const Vector sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    double result = 0;
    for (Py_ssize_t j = 0; j < kLanes; ++j) result += static_cast<double>(sum[j]);
    for (; i < size; ++i) result += static_cast<double>(data[i]);
    return result;
}

/// read(array): the sum of a contiguous array of float64 or float32.
PyObject* read_array(PyObject*, PyObject* array) {
    Py_buffer view;
    if (PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS) != 0) return nullptr;
    const Py_ssize_t size = view.len / view.itemsize;
    const double sum = view.itemsize == sizeof(double) ? read(static_cast<const double*>(view.buf), size)
                                                       : read(static_cast<const float*>(view.buf), size);
    PyBuffer_Release(&view);
    return PyFloat_FromDouble(sum);
}

PyMethodDef floor_methods[] = {
    {"update", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(update)), METH_FASTCALL | METH_KEYWORDS,
     "update(**values): nothing."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot floor_slots[] = {{Py_tp_methods, floor_methods}, {0, nullptr}};
PyType_Spec floor_type = {"floor_native.Floor", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT, floor_slots};

PyMethodDef module_methods[] = {{"read", read_array, METH_O, "read(array): its plain sum."}, {nullptr, nullptr, 0, nullptr}};
PyModuleDef module_definition = {PyModuleDef_HEAD_INIT, "floor_native", nullptr, -1, module_methods,
                                 nullptr,               nullptr,        nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_floor_native() {
    PyObject* module = PyModule_Create(&module_definition);
    if (module != nullptr) PyModule_AddObject(module, "Floor", PyType_FromSpec(&floor_type));
    return module;
}
