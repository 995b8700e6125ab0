/// The definition of the extension module core._meter. The implementation is in python/.
#define PY_SSIZE_T_CLEAN
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "python/engine.hpp"
#include "python/engine_fields.hpp"
#include "python/engine_merge.hpp"
#include "python/engine_sums.hpp"
#include "python/update.hpp"
#include "simd.hpp"

namespace py = pybind11;

namespace {

std::vector<std::string> simd_levels() {
    std::vector<std::string> names;
    for (const pyml::NamedLevel& entry : pyml::kLevels) {
        if (entry.level <= pyml::best_level()) names.insert(names.begin(), std::string(entry.name));
    }
    return names;
}

}  // namespace

// The function that pybind11 defines gets another name, because it would wait for ever in a subinterpreter.
#define PyInit__meter pyml_init_meter
PYBIND11_MODULE(_meter, module) {
    using pyml::Engine;
    module.doc() = "The C++ engine of the meter. Use it through core.utils.meters.Meter.";
    module.attr("MOST_SAMPLES") = pyml::kMostSamples;
    module.attr("COUNT_BITS") = pyml::kCountBits;
    module.attr("LARGE_ARRAY") = pyml::kLargeArray;
    module.attr("S1_BITS") = -pyml::ValueSum::kUnit;
    module.attr("S2_BITS") = -pyml::SquareSum::kUnit;
    module.def("simd_levels", &simd_levels, "Return the SIMD levels that this processor has, the best one first.");
    // The metaclass is `type`, because the type stub cannot name the metaclass of pybind11.
    const py::metaclass plain_type(reinterpret_cast<PyObject*>(&PyType_Type));
    py::class_<Engine> engine(module, "Engine", py::is_final(), plain_type, "Exact sums of named measures.");
    engine.def(py::init<py::object, const std::string&>(), py::arg("intake"), py::arg("simd"))
        .def_property_readonly("name", [](const Engine&) { return "c++"; })
        .def_property_readonly("simd", &Engine::simd)
        .def("names", &Engine::names)
        .def("measure", &Engine::fields, py::arg("name"))
        .def("measures", &Engine::all_fields)
        .def("pair", &Engine::pair_fields, py::arg("position"))
        .def("state", &Engine::state)
        .def("add", &Engine::add_fields, py::arg("measures"), py::arg("pairs") = py::list())
        .def("clear", &Engine::clear);
    auto* const type = reinterpret_cast<PyTypeObject*>(engine.ptr());
    engine.attr("update") = py::reinterpret_steal<py::object>(PyDescr_NewMethod(type, &pyml::kUpdate));
    engine.attr("merge") = py::reinterpret_steal<py::object>(PyDescr_NewMethod(type, &pyml::kMerge));
}
#undef PyInit__meter

PYBIND11_PLUGIN_IMPL(_meter) {
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "core._meter runs in the main interpreter only; in a subinterpreter use PYML_ENGINE=python");
        return nullptr;
    }
    return pyml_init_meter();
}
