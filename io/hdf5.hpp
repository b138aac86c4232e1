// HDF5 without its surprises: handles that close themselves, no error traces on the terminal.
#pragma once

#include <hdf5.h>

#include <string>
#include <utility>

#include <cairn/element_type.hpp>

namespace cairn::io {

/// Owns an HDF5 identifier. The destructor drops close errors; close() reports them.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);

  Handle() = default;
  Handle(hid_t id, Close function) : id_(id), close_(function) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() { close(); }

  /// False when HDF5 could not make it.
  explicit operator bool() const { return id_ >= 0; }
  hid_t get() const { return id_; }
  /// True when there is nothing to close or it was closed without an error.
  bool close() { return id_ < 0 || close_(std::exchange(id_, -1)) >= 0; }

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

/// While it lives, HDF5 prints no errors; afterwards the program's own setting is back.
class SilentHdf5 {
 public:
  SilentHdf5();
  ~SilentHdf5();
  SilentHdf5(const SilentHdf5&) = delete;
  SilentHdf5& operator=(const SilentHdf5&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// The innermost reason on HDF5's error stack, one line.
std::string hdf5_reason();

/// The stored type of an entry's elements. The same in memory.
Handle element_datatype(ElementType type, std::size_t element_bytes);
/// Bytes of one element; 0 for opaque, whose size is the program's.
std::size_t element_type_bytes(ElementType type);

/// Access property list: metadata with checksums, no file locks (readers never meet writers, and
/// several parallel file systems refuse locks).
Handle file_access();

}  // namespace cairn::io
