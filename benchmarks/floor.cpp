/// Lower bounds for the time of a meter called from Python: a method that does nothing, and a plain sum of an array.
/// floor.py compiles this file for the processor that runs the benchmark.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstddef>

namespace {

PyObject* update(PyObject*, PyObject* const*, Py_ssize_t, PyObject*) { Py_RETURN_NONE; }

#if defined(__AVX512F__)
constexpr std::size_t kWidth = 64;
#elif defined(__AVX2__)
constexpr std::size_t kWidth = 32;
#else
constexpr std::size_t kWidth = 16;
#endif

/// A vector that fits into one register. GCC keeps wider vectors in memory, so that each addition loads and stores
/// them: on AVX2, 64-byte vectors took 0.57 ns per float64, and 32-byte vectors take 0.06 ns.
template <class T>
using Register __attribute__((vector_size(kWidth))) = T;

/// The same vector type for loads from addresses without alignment.
template <class T>
using Unaligned __attribute__((vector_size(kWidth), aligned(alignof(T)), may_alias)) = T;

/// Sums an array in kAccumulators registers. It reads kStreams parts of the array in turn, because a core can fetch
/// several streams from memory in parallel. Each stream prefetches kAhead bytes ahead, unless kAhead is 0.
template <class T, std::size_t kAccumulators, std::size_t kStreams, std::size_t kAhead>
double read(const T* data, std::size_t size) {
    constexpr std::size_t kLanes = kWidth / sizeof(T), kStep = kAccumulators * kLanes;
    const std::size_t stream_size = size / (kStreams * kStep) * kStep;
    Register<T> sums[kAccumulators] = {};
    for (std::size_t i = 0; i < stream_size; i += kStep) {
        for (std::size_t stream = 0; stream < kStreams; ++stream) {
            const T* from = data + stream * stream_size + i;
            if constexpr (kAhead != 0) {
                for (std::size_t line = 0; line < kStep * sizeof(T); line += 64) {
                    __builtin_prefetch(reinterpret_cast<const char*>(from) + kAhead + line);
                }
            }
            for (std::size_t j = 0; j < kAccumulators; ++j) {
                sums[j] += *reinterpret_cast<const Unaligned<T>*>(from + j * kLanes);
            }
        }
    }
    Register<T> sum = sums[0];
    for (std::size_t j = 1; j < kAccumulators; ++j) sum += sums[j];
    double result = 0;
    for (std::size_t j = 0; j < kLanes; ++j) result += static_cast<double>(sum[j]);
    for (std::size_t i = kStreams * stream_size; i < size; ++i) result += static_cast<double>(data[i]);
    return result;
}

/// The Python functions read_...(array), which sum a contiguous array of float64 or float32. Which of them is the
/// fastest depends on the processor and on the cache level that holds the array.
template <std::size_t... kHow>
PyObject* read_array(PyObject*, PyObject* array) {
    Py_buffer view;
    if (PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS) != 0) return nullptr;
    const auto size = static_cast<std::size_t>(view.len / view.itemsize);
    const double sum = view.itemsize == sizeof(double) ? read<double, kHow...>(static_cast<const double*>(view.buf), size)
                                                       : read<float, kHow...>(static_cast<const float*>(view.buf), size);
    PyBuffer_Release(&view);
    return PyFloat_FromDouble(sum);
}

PyMethodDef floor_methods[] = {
    {"update", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(update)), METH_FASTCALL | METH_KEYWORDS,
     "update(**values): nothing."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot floor_slots[] = {{Py_tp_methods, floor_methods}, {0, nullptr}};
PyType_Spec floor_type = {"floor_native.Floor", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT, floor_slots};

PyMethodDef module_methods[] = {{"read_8", read_array<8, 1, 0>, METH_O, nullptr},
                                {"read_8_ahead", read_array<8, 1, 2048>, METH_O, nullptr},
                                {"read_4_from_4", read_array<4, 4, 0>, METH_O, nullptr},
                                {"read_4_from_4_ahead", read_array<4, 4, 1024>, METH_O, nullptr},
                                {nullptr, nullptr, 0, nullptr}};
PyModuleDef module_definition = {PyModuleDef_HEAD_INIT, "floor_native", nullptr, -1, module_methods,
                                 nullptr,               nullptr,        nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_floor_native() {
    PyObject* module = PyModule_Create(&module_definition);
    if (module != nullptr) PyModule_AddObject(module, "Floor", PyType_FromSpec(&floor_type));
    return module;
}
