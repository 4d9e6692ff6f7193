// Our exceptions as the classes of deepspeed.errors.
#include "deepspeed/error.h"

#include "bindings/bind.h"

namespace deepspeed::bindings {
namespace {

namespace py = pybind11;

template <class... Arguments>
void raise(const char* name, const Arguments&... arguments) {
  const py::object kind = py::module_::import("deepspeed.errors").attr(name);
  const py::object error = kind(arguments...);
  PyErr_SetObject(kind.ptr(), error.ptr());
}

}  // namespace

void bind_errors(py::module_&) {
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const ConfigError& error) {
      raise("DeepSpeedConfigError", error.what());
    } catch (const ValueError& error) {
      raise("DeepSpeedValueError", error.what());
    } catch (const CommError& error) {
      raise("CommError", error.what());
    } catch (const IoError& error) {
      raise("IoError", error.error_number(), error.what(), error.path());
    } catch (const CheckpointError& error) {
      raise("CheckpointError", error.what());
    } catch (const NotSupported& error) {
      raise("NotSupported", error.what());
    } catch (const InternalError& error) {
      raise("InternalError", error.what());
    }
  });
}

}  // namespace deepspeed::bindings
