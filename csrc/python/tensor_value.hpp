/// Reads 0-d CPU tensors of PyTorch through the C exchange interface of DLPack, which runs no Python code.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>

#include "../float_bits.hpp"
#include "scalar_value.hpp"

namespace pyml {

namespace py = pybind11;

/// The parts of dlpack.h (version 1) that are needed to read a tensor. Their layout is fixed by the standard.
namespace dlpack {

constexpr std::uint32_t kMajorVersion = 1;
constexpr std::int32_t kCpu = 1;
enum Code : std::uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBFloat = 4, kBool = 6 };

struct DataType {
    std::uint8_t code, bits;
    std::uint16_t lanes;
};

struct Tensor {
    void* data;
    std::int32_t device_type, device_id;
    std::int32_t n_dimensions;
    DataType dtype;
    std::int64_t *shape, *strides;
    std::uint64_t byte_offset;
};

struct Exchange {
    std::uint32_t major_version, minor_version;
    void* previous;
    void *allocate, *managed_from_object, *managed_to_object;       // not needed here
    int (*tensor_from_object)(void* object, Tensor* tensor);  ///< borrows the memory; may be null
};

}  // namespace dlpack

/// Returns the function that reads an element, or null for a dtype that the meter does not accept.
inline ReadNumber reader_of(dlpack::DataType dtype) noexcept {
    if (dtype.lanes != 1) return nullptr;
    switch (dtype.code) {
        case dlpack::kFloat:
            return dtype.bits == 32   ? read_number_of<float>
                   : dtype.bits == 64 ? read_number_of<double>
                   : dtype.bits == 16 ? read_number_of<Float16>
                                      : nullptr;
        case dlpack::kBFloat:
            return dtype.bits == 16 ? read_number_of<BFloat16> : nullptr;
        case dlpack::kBool:
            return dtype.bits == 8 ? read_number_of<Bool> : nullptr;
        case dlpack::kInt:
            return dtype.bits == 64   ? read_number_of<std::int64_t>
                   : dtype.bits == 32 ? read_number_of<std::int32_t>
                   : dtype.bits == 16 ? read_number_of<std::int16_t>
                   : dtype.bits == 8  ? read_number_of<std::int8_t>
                                      : nullptr;
        case dlpack::kUInt:
            return dtype.bits == 8 ? read_number_of<std::uint8_t> : nullptr;
        default:
            return nullptr;
    }
}

/// The objects of torch that are needed to read a tensor. The extension never imports torch itself.
struct Torch {
    const PyObject *tensor, *parameter;
    const dlpack::Exchange* exchange;  ///< null if this version of torch does not have it

    /// Returns null if torch has not been imported, or not completely.
    static const Torch* find() {
        static const Torch* torch = nullptr;
        if (torch == nullptr) {
            PyObject* const module = PyDict_GetItemString(PyImport_GetModuleDict(), "torch");
            if (module == nullptr) return nullptr;
            try {
                const py::handle handle(module);
                torch = new Torch{kept(handle, "Tensor"), kept(handle.attr("nn"), "Parameter"),
                                  exchange_of(handle.attr("Tensor"))};
            } catch (const py::error_already_set&) {
                return nullptr;
            }
        }
        return torch;
    }

private:
    static const dlpack::Exchange* exchange_of(const py::object& tensor_type) {
        const py::object capsule = py::getattr(tensor_type, "__dlpack_c_exchange_api__", py::none());
        if (!PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api")) return nullptr;
        const void* const pointer = PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api");
        const auto* const exchange = static_cast<const dlpack::Exchange*>(pointer);
        const bool is_known = exchange->major_version == dlpack::kMajorVersion && exchange->tensor_from_object != nullptr;
        return is_known ? exchange : nullptr;
    }
};

/// Addresses below this one may be those of freed memory: if torch has freed the storage of a tensor, the address is null
/// plus the tensor's offset in the storage. Systems with 64-bit addresses keep the heap above, as a rule.
constexpr std::uint64_t kLowAddresses = std::uint64_t{1} << 40;

/// Reads a 0-d tensor in CPU memory. Returns false for all other objects, and for a tensor without readable memory.
inline bool read_tensor(PyObject* object, double& number) {
    static PyObject* const is_neg = PyUnicode_InternFromString("is_neg");
    const Torch* const torch = Torch::find();
    const auto* const type = reinterpret_cast<const PyObject*>(Py_TYPE(object));
    if (torch == nullptr || torch->exchange == nullptr) return false;
    if (type != torch->tensor && type != torch->parameter) return false;
    dlpack::Tensor tensor{};
    if (torch->exchange->tensor_from_object(object, &tensor) != 0) {
        PyErr_Clear();  // the general path will report what is wrong
        return false;
    }
    if (tensor.device_type != dlpack::kCpu || tensor.n_dimensions != 0) return false;
    const char* const address = static_cast<const char*>(tensor.data) + tensor.byte_offset;
    if (reinterpret_cast<std::uintptr_t>(address) < kLowAddresses) return false;  // the general path checks the storage
    const ReadNumber read = reader_of(tensor.dtype);
    if (read == nullptr) return false;
    // DLPack cannot say that the memory of a lazily negated tensor holds the value with the opposite sign.
    const auto negated = py::reinterpret_steal<py::object>(PyObject_CallMethodNoArgs(object, is_neg));
    if (!negated) PyErr_Clear();
    return negated.is(py::handle(Py_False)) && read(address, number);
}

}  // namespace pyml
