#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <utility>

#include "io/geometry.hpp"
#include "io/part_writer.hpp"

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

class MpiioWriter : public PartWriter {
 public:
  MpiioWriter(const std::filesystem::path& path, Collective& all) : path_(path), all_(all) {}

  Status open(const std::vector<Part>& parts) override;
  Status write(const Part& part) override;
  Status close() override;

 private:
  Status write_contiguous(const Part& part) const;
  Status write_scattered(const Part& part, std::uint64_t all_pieces) const;
  int write_piece(const Part& part, const Piece* piece) const;
  Status check(int code, std::string_view what) const;

  std::filesystem::path path_;
  Collective& all_;
  MPI_File file_ = MPI_FILE_NULL;
  const Part* first_ = nullptr;
  /// Per part: the most pieces of any rank when some rank's part is scattered in the file, else 0.
  std::vector<std::uint64_t> scattered_pieces_;
};

Status MpiioWriter::check(int code, std::string_view what) const {
  if (code == MPI_SUCCESS) return {};
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  PMPI_Error_string(code, text, &length);
  return {Code::io_error, fmt::format("{}: can't {}: {}", path_.native(), what, text)};
}

Status MpiioWriter::open(const std::vector<Part>& parts) {
  first_ = parts.data();
  std::vector<std::uint64_t> values;
  for (const Part& part : parts) {
    values.push_back(pieces_of(part).size());
    values.push_back(contiguous_run(part.global, part.shape) < *volume(part.shape));
  }
  values = all_.max(std::move(values));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    scattered_pieces_.push_back(values[2 * i + 1] != 0 ? values[2 * i] : 0);
  }
  return check(PMPI_File_open(all_.comm(), path_.c_str(), MPI_MODE_RDWR, MPI_INFO_NULL, &file_),
               "open it");
}

Status MpiioWriter::write(const Part& part) {
  const std::uint64_t pieces = scattered_pieces_[static_cast<std::size_t>(&part - first_)];
  // Where each rank's part is one stretch of the file, two-phase I/O would only send the data to
  // another rank first.
  return pieces == 0 ? write_contiguous(part) : write_scattered(part, pieces);
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
      code = write_piece(part, &piece);
    } else {
      code = write_piece(part, nullptr);
    }
    if (first_error == MPI_SUCCESS) first_error = code;
  }
  char native[] = "native";
  PMPI_File_set_view(file_, 0, MPI_BYTE, MPI_BYTE, native, MPI_INFO_NULL);
  return check(first_error, "write " + part.path);
}

/// One collective write: of nothing when there is no piece.
int MpiioWriter::write_piece(const Part& part, const Piece* piece) const {
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
  int code = PMPI_File_set_view(file_, begin, MPI_BYTE, committed, native, MPI_INFO_NULL);
  MPI_Status status;
  const int write_code = PMPI_File_write_at_all(file_, 0, data, bytes, MPI_BYTE, &status);
  if (code == MPI_SUCCESS) code = write_code;
  return code;
}

Status MpiioWriter::close() {
  if (file_ == MPI_FILE_NULL) return {};
  return check(PMPI_File_close(&file_), "close it");
}

}  // namespace

std::unique_ptr<PartWriter> make_mpiio_writer(const std::filesystem::path& path, Collective& all) {
  return std::make_unique<MpiioWriter>(path, all);
}

}  // namespace cairn::io
