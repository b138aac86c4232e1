// An HDF5 file driver whose file is in memory: HDF5 lays a file out and never touches the disk.
//
// Why: when HDF5 can't write its metadata (no space, an I/O error), closing the file fails, and
// HDF5 then crashes or hangs when the process ends. Metadata that is made here and written by us
// can fail like any other write.
#pragma once

#include "io/hdf5.hpp"
#include "io/memory_file.hpp"

namespace cairn::io {

/// Makes H5Fcreate with `access` write to `file`, which must outlive the HDF5 file. False when
/// HDF5 refuses.
bool use_memory_file(hid_t access, MemoryFile& file);

}  // namespace cairn::io
