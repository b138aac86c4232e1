#include <fcntl.h>

#include "io/files.hpp"
#include "io/geometry.hpp"
#include "io/part_writer.hpp"
#include "io/slab_bytes.hpp"

namespace cairn::io {
namespace {

class DirectWriter : public PartWriter {
 public:
  explicit DirectWriter(const std::filesystem::path& path) : path_(path) {}

  Status open(const std::vector<Part>&) override {
    auto file = File::open(path_, O_WRONLY);
    if (!file) return file.status();
    file_ = std::move(*file);
    return {};
  }

  Status write(const Part& part) override {
    const std::uint64_t bytes = *volume(part.shape) * part.element_bytes;
    if (bytes == 0) return {};
    const SlabBytes slab{part.file_offset, part.element_bytes, part.global, part.offset,
                         part.shape};
    return slab.write(file_, {part.data, bytes});
  }

  Status close() override { return file_.close(); }

 private:
  std::filesystem::path path_;
  File file_;
};

}  // namespace

std::unique_ptr<PartWriter> make_direct_writer(const std::filesystem::path& path) {
  return std::make_unique<DirectWriter>(path);
}

}  // namespace cairn::io
