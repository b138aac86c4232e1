#include "io/state_index.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "base/checksum.hpp"
#include "io/hdf5.hpp"
#include "io/tables.hpp"

namespace cairn::io {
namespace {

constexpr const char* all_groups[] = {regions_group, objects_group, delta_group, index_group,
                                      channels_group};
constexpr const char* data_groups[] = {regions_group, objects_group, delta_group};

herr_t add_name(hid_t, const char* name, const H5L_info_t*, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

/// Adds the dataset at `path`, unless its data is in other files; false when it is none that we
/// wrote.
bool add_dataset(hid_t file, const std::string& path, Datasets& datasets) {
  const Handle dataset{H5Dopen2(file, path.c_str(), H5P_DEFAULT), H5Dclose};
  if (!dataset) return false;
  const Handle creation{H5Dget_create_plist(dataset.get()), H5Pclose};
  const H5D_layout_t layout = H5Pget_layout(creation.get());
  if (layout == H5D_VIRTUAL) return true;
  if (layout != H5D_CONTIGUOUS) return false;
  Extent extent;
  extent.bytes = H5Dget_storage_size(dataset.get());
  if (extent.bytes > 0) {
    const haddr_t offset = H5Dget_offset(dataset.get());
    if (offset == HADDR_UNDEF) return false;
    extent.offset = offset;
  }
  datasets[path] = extent;
  return true;
}

Status add_datasets(const std::filesystem::path& path, std::span<const char* const> groups,
                    Datasets& datasets) {
  const SilentHdf5 silent;
  const auto damaged = [&path](std::string_view what) {
    return Status{Code::corruption,
                  fmt::format("{}: HDF5 can't read {}: {}", path.native(), what, hdf5_reason())};
  };
  const Handle file{H5Fopen(path.c_str(), H5F_ACC_RDONLY, file_access().get()), H5Fclose};
  if (!file) return damaged("the file");
  for (const char* group_path : groups) {
    const bool may_lack = group_path == std::string_view{delta_group};  // an older format
    if (may_lack && H5Lexists(file.get(), group_path, H5P_DEFAULT) == 0) continue;
    const Handle group{H5Gopen2(file.get(), group_path, H5P_DEFAULT), H5Gclose};
    std::vector<std::string> names;
    if (!group ||
        H5Literate(group.get(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add_name, &names) < 0) {
      return damaged(group_path);
    }
    for (const std::string& name : names) {
      const std::string dataset = fmt::format("{}/{}", group_path, name);
      if (!add_dataset(file.get(), dataset, datasets)) return damaged(dataset);
    }
  }
  return {};
}

/// Calls `use` with consecutive pieces of the file's bytes [first, last).
template <class Use>
Status for_each_segment(const File& file, std::uint64_t first, std::uint64_t last,
                        std::vector<std::byte>& buffer, Use use) {
  for (; first < last; first += segment_bytes) {
    const std::span segment{buffer.data(), std::min(segment_bytes, last - first)};
    if (auto status = file.read_at(first, segment); !status) return status;
    use(checksum(segment));
  }
  return {};
}

/// All but the tables.
Result<StateIndex> index_file(const File& file, Datasets datasets) {
  const auto size = file.size();
  if (!size) return size.status();
  StateIndex index;
  index.name = file.path().filename().native();
  index.bytes = *size;
  index.datasets = std::move(datasets);
  const auto metadata = metadata_checksum(file, index);
  if (!metadata) return metadata.status();
  index.metadata_checksum = *metadata;
  return index;
}

Status add_table_checksums(const File& file, StateIndex& index) {
  std::vector<std::byte> buffer(segment_bytes);
  for (const Table& table : tables()) {
    const auto dataset = index.datasets.find(table.path);
    if (dataset == index.datasets.end() && table.since > 1) continue;
    if (dataset == index.datasets.end() || dataset->second.bytes % table.row_bytes != 0) {
      return {Code::corruption,
              fmt::format("{}: {} is missing or has other rows", file.path().native(), table.path)};
    }
    const Extent extent = dataset->second;
    auto& sums = index.table_checksums[table.path];
    const auto status = for_each_segment(file, extent.offset, extent.offset + extent.bytes, buffer,
                                         [&sums](std::uint64_t sum) { sums.push_back(sum); });
    if (!status) return status;
  }
  return {};
}

}  // namespace

std::uint64_t message_count(const StateIndex& index) {
  const auto dataset = index.datasets.find(messages_table);
  if (dataset == index.datasets.end()) return 0;
  return dataset->second.bytes / tables()[message_rows].row_bytes;
}

Result<std::uint64_t> metadata_checksum(const File& file, const StateIndex& index) {
  std::vector<Extent> extents;
  for (const auto& [path, extent] : index.datasets) {
    if (extent.bytes > 0) extents.push_back(extent);
  }
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  extents.push_back({index.bytes, 0});

  std::vector<std::byte> buffer(segment_bytes);
  std::uint64_t sum = 0;
  std::uint64_t position = 0;
  for (const Extent& extent : extents) {
    if (extent.offset < position || extent.offset > index.bytes ||
        extent.bytes > index.bytes - extent.offset) {
      return Status{Code::corruption, fmt::format("{}: its datasets overlap or leave the file",
                                                  file.path().native())};
    }
    const auto status =
        for_each_segment(file, position, extent.offset, buffer,
                         [&sum](std::uint64_t segment) { sum = mix(sum, segment); });
    if (!status) return status;
    position = extent.offset + extent.bytes;
  }
  return sum;
}

Result<StateIndex> scan_state(const std::filesystem::path& path) {
  Datasets datasets;
  if (auto status = add_datasets(path, all_groups, datasets); !status) return status;
  return index_state(path, std::move(datasets));
}

Result<StateIndex> index_state(const std::filesystem::path& path, Datasets datasets) {
  auto file = File::open(path, O_RDONLY);
  if (!file) return file.status();
  auto index = index_file(*file, std::move(datasets));  // first: it checks the extents
  if (!index) return index.status();
  if (auto status = add_table_checksums(*file, *index); !status) return status;
  return index;
}

Result<StateIndex> scan_node(const std::filesystem::path& path) {
  Datasets datasets;
  if (auto status = add_datasets(path, data_groups, datasets); !status) return status;
  return index_node(path, std::move(datasets));
}

Result<StateIndex> index_node(const std::filesystem::path& path, Datasets datasets) {
  auto file = File::open(path, O_RDONLY);
  if (!file) return file.status();
  return index_file(*file, std::move(datasets));
}

Result<File> open_indexed(const std::filesystem::path& directory, const StateIndex& index) {
  const std::filesystem::path path = directory / index.name;
  auto file = File::open(path, O_RDONLY);
  if (!file) {
    if (file.status().code() != Code::not_found) return file.status();
    return Status{Code::corruption, fmt::format("{}: is missing", path.native())};
  }
  const auto size = file->size();
  if (!size) return size.status();
  if (*size != index.bytes) {
    return Status{Code::corruption,
                  fmt::format("{}: has {} bytes instead of {}", path.native(), *size, index.bytes)};
  }
  return file;
}

}  // namespace cairn::io
