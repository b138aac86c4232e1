#include "io/memory_driver.hpp"

#include <algorithm>
#include <new>

namespace cairn::io {
namespace {

/// What use_memory_file() hands to open() through the property list.
struct DriverInfo {
  MemoryFile* file;
};

struct OpenFile {
  H5FD_t base;  // first: HDF5 sees only this
  MemoryFile* file;
};

MemoryFile& memory_of(const H5FD_t* file) { return *reinterpret_cast<const OpenFile*>(file)->file; }

H5FD_t* open_file(const char*, unsigned, hid_t access, haddr_t) {
  const auto* info = static_cast<const DriverInfo*>(H5Pget_driver_info(access));
  if (info == nullptr) return nullptr;
  auto* file = new (std::nothrow) OpenFile{};
  if (file == nullptr) return nullptr;
  file->file = info->file;
  return &file->base;
}

herr_t close_file(H5FD_t* file) {
  delete reinterpret_cast<OpenFile*>(file);
  return 0;
}

herr_t query(const H5FD_t*, unsigned long* flags) {
  *flags =
      H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_AGGREGATE_SMALLDATA;
  return 0;
}

haddr_t get_size(const H5FD_t* file, H5FD_mem_t) { return memory_of(file).size(); }

herr_t set_size(H5FD_t* file, H5FD_mem_t, haddr_t size) {
  memory_of(file).set_size(size);
  return 0;
}

herr_t read_bytes(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t offset, std::size_t bytes, void* data) {
  memory_of(file).read(offset, static_cast<std::byte*>(data), bytes);
  return 0;
}

herr_t write_bytes(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t offset, std::size_t bytes,
                   const void* data) {
  try {
    memory_of(file).write(offset, static_cast<const std::byte*>(data), bytes);
  } catch (const std::bad_alloc&) {
    return -1;
  }
  return 0;
}

const H5FD_class_t& driver_class() {
  static const H5FD_class_t driver = [] {
    H5FD_class_t made{};
    made.name = "cairn_memory";
    made.maxaddr = HADDR_MAX;
    made.fc_degree = H5F_CLOSE_WEAK;
    made.fapl_size = sizeof(DriverInfo);
    made.open = open_file;
    made.close = close_file;
    made.query = query;
    made.get_eoa = get_size;
    made.set_eoa = set_size;
    made.get_eof = get_size;
    made.read = read_bytes;
    made.write = write_bytes;
    constexpr H5FD_mem_t map[] = H5FD_FLMAP_DICHOTOMY;
    std::copy(std::begin(map), std::end(map), made.fl_map);
    return made;
  }();
  return driver;
}

}  // namespace

bool use_memory_file(hid_t access, MemoryFile& file) {
  // Registered again when the program has called H5close().
  static hid_t driver = -1;
  if (driver < 0 || H5Iget_type(driver) != H5I_VFL) driver = H5FDregister(&driver_class());
  const DriverInfo info{&file};
  return driver >= 0 && H5Pset_driver(access, driver, &info) >= 0;
}

}  // namespace cairn::io
