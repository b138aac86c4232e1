#include "io/hdf5.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace cairn::io {
namespace {

hid_t stored_type(ElementType type) {
  switch (type) {
    case ElementType::int8: return H5T_STD_I8LE;
    case ElementType::int16: return H5T_STD_I16LE;
    case ElementType::int32: return H5T_STD_I32LE;
    case ElementType::int64: return H5T_STD_I64LE;
    case ElementType::uint8:
    case ElementType::serialized: return H5T_STD_U8LE;
    case ElementType::uint16: return H5T_STD_U16LE;
    case ElementType::uint32: return H5T_STD_U32LE;
    case ElementType::uint64: return H5T_STD_U64LE;
    case ElementType::float32: return H5T_IEEE_F32LE;
    case ElementType::float64: return H5T_IEEE_F64LE;
    case ElementType::opaque: break;
  }
  return -1;
}

herr_t keep_reason(unsigned, const H5E_error2_t* error, void* reason) {
  if (error->desc != nullptr && *error->desc != '\0') {
    *static_cast<std::string*>(reason) = error->desc;
    return 1;  // the innermost one says most
  }
  return 0;
}

}  // namespace

SilentHdf5::SilentHdf5() {
  H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

SilentHdf5::~SilentHdf5() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }

std::string hdf5_reason() {
  std::string reason = "unknown HDF5 error";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_reason, &reason);
  std::replace(reason.begin(), reason.end(), '\n', ' ');
  return reason;
}

Handle element_datatype(ElementType type, std::size_t element_bytes) {
  if (type != ElementType::opaque) return {H5Tcopy(stored_type(type)), H5Tclose};
  Handle opaque{H5Tcreate(H5T_OPAQUE, element_bytes), H5Tclose};
  if (opaque) H5Tset_tag(opaque.get(), "cairn: raw bytes of a trivially copyable type");
  return opaque;
}

std::size_t element_type_bytes(ElementType type) {
  switch (type) {
    case ElementType::int8:
    case ElementType::uint8:
    case ElementType::serialized: return 1;
    case ElementType::int16:
    case ElementType::uint16: return 2;
    case ElementType::int32:
    case ElementType::uint32:
    case ElementType::float32: return 4;
    case ElementType::int64:
    case ElementType::uint64:
    case ElementType::float64: return 8;
    case ElementType::opaque: break;
  }
  return 0;
}

Handle file_access() {
  Handle access{H5Pcreate(H5P_FILE_ACCESS), H5Pclose};
  H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110);
  H5Pset_file_locking(access.get(), false, true);
  return access;
}

}  // namespace cairn::io
