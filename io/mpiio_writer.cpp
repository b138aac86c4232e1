#include "io/mpiio_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "io/geometry.hpp"

namespace cairn::io {
namespace {

// MPI counts in int.
constexpr std::uint64_t largest_write_bytes = std::uint64_t{512} << 20;

/// Owns a derived datatype.
class Datatype {
 public:
  explicit Datatype(MPI_Datatype type) : type_(type) {}
  Datatype(const Datatype&) = delete;
  Datatype& operator=(const Datatype&) = delete;
  ~Datatype() {
    if (type_ != MPI_DATATYPE_NULL) PMPI_Type_free(&type_);
  }
  MPI_Datatype get() const { return type_; }
  /// Takes `type` in place of the one it has.
  void replace(MPI_Datatype type) {
    if (type_ != MPI_DATATYPE_NULL) PMPI_Type_free(&type_);
    type_ = type;
  }

 private:
  MPI_Datatype type_;
};

Pieces pieces_of(const Part& part) {
  return {part.offset, part.shape, part.element_bytes, largest_write_bytes};
}

/// One collective write: of nothing when there is no piece.
int write_piece(MPI_File file, const Part& part, const Piece* piece) {
  MPI_Offset begin = 0;
  MPI_Datatype made = MPI_DATATYPE_NULL;
  PMPI_Type_contiguous(piece != nullptr ? static_cast<int>(part.element_bytes) : 1, MPI_BYTE,
                       &made);
  Datatype view{made};
  int bytes = 0;
  const std::byte* data = nullptr;
  if (piece != nullptr) {
    auto stride = static_cast<MPI_Aint>(part.element_bytes);
    for (std::size_t d = part.global.size(); d-- > 0;) {
      PMPI_Type_create_hvector(static_cast<int>(piece->shape[d]), 1, stride, view.get(), &made);
      view.replace(made);
      stride *= static_cast<MPI_Aint>(part.global[d]);
    }
    const std::uint64_t first = linear_index(part.global, piece->offset);
    const std::uint64_t offset = part.file_offset + first * part.element_bytes;
    begin = static_cast<MPI_Offset>(offset);
    bytes = static_cast<int>(piece->count * part.element_bytes);
    data = part.data + piece->first * part.element_bytes;
  }
  MPI_Datatype committed = view.get();
  PMPI_Type_commit(&committed);
  char native[] = "native";
  int code = PMPI_File_set_view(file, begin, MPI_BYTE, committed, native, MPI_INFO_NULL);
  MPI_Status status;
  const int write_code = PMPI_File_write_at_all(file, 0, data, bytes, MPI_BYTE, &status);
  if (code == MPI_SUCCESS) code = write_code;
  return code;
}

}  // namespace

Status MpiioWriter::check(int code, std::string_view what) const {
  if (code == MPI_SUCCESS) return {};
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  PMPI_Error_string(code, text, &length);
  return {Code::io_error, fmt::format("{}: can't {}: {}", path_.native(), what, text)};
}

Status MpiioWriter::open(const Status& ready) {
  if (auto status = all_.agree(ready); !status) return status;
  return all_.agree(check(
      PMPI_File_open(all_.comm(), path_.c_str(), MPI_MODE_RDWR, MPI_INFO_NULL, &file_), "open it"));
}

Status MpiioWriter::write(const std::vector<Part>& parts) {
  // Per part: the most pieces of any rank, and whether some rank's part is scattered in the file.
  std::vector<std::uint64_t> values;
  for (const Part& part : parts) {
    values.push_back(pieces_of(part).size());
    values.push_back(contiguous_run(part.global, part.shape) < *volume(part.shape));
  }
  values = all_.max(std::move(values));
  Status first;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    // Where each rank's part is one stretch of the file, two-phase I/O would only send the data to
    // another rank first.
    const Status written = values[2 * i + 1] != 0 ? write_scattered(parts[i], values[2 * i])
                                                  : write_contiguous(parts[i]);
    if (first) first = written;
  }
  return all_.agree(first);
}

/// Local.
Status MpiioWriter::write_contiguous(const Part& part) const {
  const std::uint64_t begin =
      part.file_offset + linear_index(part.global, part.offset) * part.element_bytes;
  const std::uint64_t bytes = *volume(part.shape) * part.element_bytes;
  for (std::uint64_t done = 0; done < bytes; done += largest_write_bytes) {
    const int count = static_cast<int>(std::min(largest_write_bytes, bytes - done));
    MPI_Status status;
    int written = 0;
    const std::uint64_t offset = begin + done;
    int code = PMPI_File_write_at(file_, static_cast<MPI_Offset>(offset), part.data + done, count,
                                  MPI_BYTE, &status);
    PMPI_Get_count(&status, MPI_BYTE, &written);
    if (code == MPI_SUCCESS && written != count) code = MPI_ERR_IO;
    if (code != MPI_SUCCESS) return check(code, "write " + part.path);
  }
  return {};
}

/// Collective, and goes on after a failure: the other ranks wait for this rank's calls.
Status MpiioWriter::write_scattered(const Part& part, std::uint64_t all_pieces) const {
  if (part.element_bytes > largest_write_bytes) {
    return {Code::unsupported, fmt::format("{}: the driver mpiio can't write elements of {} bytes",
                                           part.path, part.element_bytes)};
  }
  const Pieces pieces = pieces_of(part);
  int first_error = MPI_SUCCESS;
  for (std::uint64_t i = 0; i < all_pieces; ++i) {
    int code = MPI_SUCCESS;
    if (i < pieces.size()) {
      const Piece piece = pieces[i];
      code = write_piece(file_, part, &piece);
    } else {
      code = write_piece(file_, part, nullptr);
    }
    if (first_error == MPI_SUCCESS) first_error = code;
  }
  char native[] = "native";
  PMPI_File_set_view(file_, 0, MPI_BYTE, MPI_BYTE, native, MPI_INFO_NULL);
  return check(first_error, "write " + part.path);
}

Status MpiioWriter::close() {
  const bool open = file_ != MPI_FILE_NULL;
  return all_.agree(open ? check(PMPI_File_close(&file_), "close it") : Status{});
}

}  // namespace cairn::io
