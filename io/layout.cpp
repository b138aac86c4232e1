#include "io/layout.hpp"

#include <fmt/format.h>

#include <functional>
#include <initializer_list>
#include <map>
#include <string>

#include "io/geometry.hpp"
#include "io/hdf5.hpp"
#include "io/memory_driver.hpp"
#include "io/names.hpp"

namespace cairn::io {
namespace {

Status refused(std::string_view what) {
  return {Code::io_error, fmt::format("HDF5 can't create {}: {}", what, hdf5_reason())};
}

Handle element_type_enum() {
  Handle type{H5Tenum_create(H5T_STD_U32LE), H5Tclose};
  for (auto value = static_cast<std::uint32_t>(ElementType::int8);
       value <= static_cast<std::uint32_t>(ElementType::serialized); ++value) {
    const std::string name{element_type_name(static_cast<ElementType>(value))};
    H5Tenum_insert(type.get(), name.c_str(), &value);
  }
  return type;
}

Handle text_datatype(std::size_t bytes, H5T_str_t padding) {
  Handle type{H5Tcopy(H5T_C_S1), H5Tclose};
  H5Tset_size(type.get(), bytes);
  H5Tset_strpad(type.get(), padding);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

Handle field_datatype(const Field& field) {
  if (field.kind == Field::Kind::text) return text_datatype(field.extent, H5T_STR_NULLPAD);
  if (field.kind == Field::Kind::element_type) return element_type_enum();
  const hid_t scalar = field.kind == Field::Kind::u32   ? H5T_STD_U32LE
                       : field.kind == Field::Kind::i32 ? H5T_STD_I32LE
                                                        : H5T_STD_U64LE;
  if (field.extent == 1) return {H5Tcopy(scalar), H5Tclose};
  const hsize_t extent = field.extent;
  return {H5Tarray_create2(scalar, 1, &extent), H5Tclose};
}

bool write_attribute(hid_t file, const char* name, hid_t type, const void* value) {
  const Handle space{H5Screate(H5S_SCALAR), H5Sclose};
  const Handle attribute{H5Acreate2(file, name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
                         H5Aclose};
  return attribute && H5Awrite(attribute.get(), type, value) >= 0;
}

bool write_attribute(hid_t file, const char* name, std::uint64_t value) {
  return write_attribute(file, name, H5T_STD_U64LE, &value);
}

bool write_attribute(hid_t file, const char* name, const std::string& value) {
  const Handle type = text_datatype(value.size() + 1, H5T_STR_NULLTERM);
  return write_attribute(file, name, type.get(), value.c_str());
}

bool write_attributes(hid_t file, const EpochInfo& info) {
  return write_attribute(file, "format_version", std::uint64_t{format_version}) &&
         write_attribute(file, "epoch", info.epoch) &&
         write_attribute(file, "ranks", static_cast<std::uint64_t>(info.ranks)) &&
         write_attribute(file, "application", info.application) &&
         write_attribute(file, "uuid", info.uuid) &&
         write_attribute(file, "protocol", info.protocol) &&
         write_attribute(file, "kind", std::string{info.kind()}) &&
         write_attribute(file, "compression", info.compression) &&
         (!info.parent || write_attribute(file, "parent", *info.parent)) &&
         write_attribute(file, "safe_point", info.safe_point);
}

/// Creates a dataset and adds its extent to the image; sets `offset` to where its data will be.
bool create_dataset(hid_t file, const std::string& path, hid_t type,
                    const std::vector<std::uint64_t>& shape, StateImage& image,
                    std::uint64_t& offset) {
  const std::vector<hsize_t> dims{shape.begin(), shape.end()};
  const Handle space{H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
                     H5Sclose};
  const Handle creation{H5Pcreate(H5P_DATASET_CREATE), H5Pclose};
  H5Pset_layout(creation.get(), H5D_CONTIGUOUS);
  H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
  H5Pset_obj_track_times(creation.get(), false);
  const Handle link{H5Pcreate(H5P_LINK_CREATE), H5Pclose};
  H5Pset_char_encoding(link.get(), H5T_CSET_UTF8);
  const Handle dataset{
      H5Dcreate2(file, path.c_str(), type, space.get(), link.get(), creation.get(), H5P_DEFAULT),
      H5Dclose};
  if (!dataset) return false;
  const haddr_t address = H5Dget_offset(dataset.get());
  if (address == HADDR_UNDEF && volume(shape) != 0) return false;
  offset = address == HADDR_UNDEF ? 0 : address;
  image.datasets[path] = {offset, *volume(shape) * H5Tget_size(type)};
  return true;
}

/// A name as H5Pset_virtual takes it, where '%' begins a format.
std::string escape_percent(const std::string& name) {
  std::string escaped;
  for (const char c : name) escaped += c == '%' ? "%%" : std::string(1, c);
  return escaped;
}

/// Creates a dataset whose elements are in the nodes' files.
bool create_virtual_dataset(hid_t file, const std::string& path, hid_t type,
                            const std::vector<std::uint64_t>& shape,
                            const std::vector<Mapping>& mappings) {
  const auto make_space = [](const std::vector<std::uint64_t>& extents) {
    const std::vector<hsize_t> dims{extents.begin(), extents.end()};
    return Handle{H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose};
  };
  const auto select = [](hid_t space, const Box& box) {
    const std::vector<hsize_t> offset{box.offset.begin(), box.offset.end()};
    const std::vector<hsize_t> extent{box.shape.begin(), box.shape.end()};
    const std::vector<hsize_t> one(offset.size(), 1);
    return H5Sselect_hyperslab(space, H5S_SELECT_SET, offset.data(), nullptr, one.data(),
                               extent.data()) >= 0;
  };
  const std::string name = escape_percent(path);
  std::map<std::uint64_t, std::uint64_t> elements;  // of each node's dataset
  for (const Mapping& mapping : mappings) {
    elements[mapping.node] = mapping.start + *volume(mapping.box.shape);
  }
  const Handle creation{H5Pcreate(H5P_DATASET_CREATE), H5Pclose};
  H5Pset_layout(creation.get(), H5D_VIRTUAL);
  H5Pset_obj_track_times(creation.get(), false);
  for (const Mapping& mapping : mappings) {
    const Handle whole = make_space(shape);
    const Handle source = make_space({elements[mapping.node]});
    if (!select(whole.get(), mapping.box) ||
        !select(source.get(), {{mapping.start}, {*volume(mapping.box.shape)}}) ||
        H5Pset_virtual(creation.get(), whole.get(), node_file_name(mapping.node).c_str(),
                       name.c_str(), source.get()) < 0) {
      return false;
    }
  }
  const Handle link{H5Pcreate(H5P_LINK_CREATE), H5Pclose};
  H5Pset_char_encoding(link.get(), H5T_CSET_UTF8);
  const Handle space = make_space(shape);
  const Handle dataset{
      H5Dcreate2(file, path.c_str(), type, space.get(), link.get(), creation.get(), H5P_DEFAULT),
      H5Dclose};
  return static_cast<bool>(dataset);
}

bool create_groups(hid_t file, std::initializer_list<const char*> paths) {
  for (const char* path : paths) {
    const Handle creation{H5Pcreate(H5P_GROUP_CREATE), H5Pclose};
    H5Pset_obj_track_times(creation.get(), false);
    const Handle group{H5Gcreate2(file, path, H5P_DEFAULT, creation.get(), H5P_DEFAULT), H5Gclose};
    if (!group) return false;
  }
  return true;
}

Handle row_datatype(const Table& table) {
  Handle type{H5Tcreate(H5T_COMPOUND, table.row_bytes), H5Tclose};
  for (const Field& field : table.fields) {
    H5Tinsert(type.get(), field.name, field.offset, field_datatype(field).get());
  }
  return type;
}

using Shapes = std::vector<std::vector<std::uint64_t>>;

Status create_entries(hid_t file, const std::vector<Entry>& entries, const Shapes& shapes,
                      StateImage& image) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string path = dataset_path(entries[i]);
    const Handle type = element_datatype(entries[i].type, entries[i].element_bytes);
    if (!create_dataset(file, path, type.get(), shapes[i], image,
                        image.entry_offsets.emplace_back())) {
      return refused(path);
    }
  }
  return {};
}

Status create_virtual_entries(hid_t file, const std::vector<Entry>& entries, const Shapes& shapes,
                              const RankBoxes& boxes) {
  const std::size_t first = boxes.entries() - entries.size();  // those stored are the last ones
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string path = dataset_path(entries[i]);
    const Handle type = element_datatype(entries[i].type, entries[i].element_bytes);
    if (!create_virtual_dataset(file, path, type.get(), shapes[i], boxes.mappings(first + i))) {
      return refused(path);
    }
  }
  return {};
}

Status create_tables(hid_t file, const Layout& layout, StateImage& image) {
  for (std::size_t i = 0; i < table_count; ++i) {
    const Table& table = tables()[i];
    if (!create_dataset(file, table.path, row_datatype(table).get(),
                        {layout.rows(static_cast<TableId>(i))}, image, image.table_offsets[i])) {
      return refused(table.path);
    }
  }
  if (!create_dataset(file, payload_dataset, H5T_STD_U8LE, {layout.payload_bytes()}, image,
                      image.payload_offset)) {
    return refused(payload_dataset);
  }
  return {};
}

/// Makes a file in memory; `create` adds the objects.
Result<StateImage> make_file(const EpochInfo& info,
                             const std::function<Status(hid_t, StateImage&)>& create) {
  const SilentHdf5 silent;
  StateImage image;
  const Handle access = file_access();
  H5Pset_alignment(access.get(), aligned_from_bytes, alignment_bytes);
  const Handle creation{H5Pcreate(H5P_FILE_CREATE), H5Pclose};
  H5Pset_obj_track_times(creation.get(), false);
  if (!use_memory_file(access.get(), image.file)) return refused("a file in memory");
  Handle file{H5Fcreate("state", H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose};
  if (!file) return refused("a file in memory");
  if (!write_attributes(file.get(), info)) return refused("the attributes");
  if (auto status = create(file.get(), image); !status) return status;
  if (!file.close()) return refused("a file in memory");
  return image;
}

}  // namespace

Layout::Layout(const std::vector<Entry>& stored, std::size_t described, const Amounts& totals,
               DataPlace place)
    : stored_(stored), place_(place) {
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const auto& global = stored[i].global_shape;
    shapes_.push_back(global.empty() ? std::vector{totals.elements(i)} : global);
  }
  const bool by_changes = stored.size() == 1 && stored[0] == changes_entry();
  rows_[entry_rows] = described;
  rows_[rank_rows] = totals[Amounts::ranks];
  rows_[slab_rows] = totals[Amounts::ranks] * described;
  rows_[block_rows] = totals[Amounts::blocks];
  rows_[place_rows] = place == DataPlace::nodes ? totals[Amounts::ranks] * stored.size() : 0;
  rows_[delta_rank_rows] = by_changes ? totals[Amounts::ranks] : 0;
  rows_[change_rows] = totals[Amounts::changes];
  rows_[communicator_rows] = totals[Amounts::communicators];
  rows_[counter_rows] = totals[Amounts::counters];
  rows_[message_rows] = totals[Amounts::messages];
  payload_bytes_ = totals[Amounts::payload];
}

Result<StateImage> Layout::make_image(const EpochInfo& info, Content content,
                                      const RankBoxes* boxes) const {
  return make_file(info, [&](hid_t file, StateImage& image) -> Status {
    if (!create_groups(file,
                       {regions_group, objects_group, delta_group, index_group, channels_group})) {
      return refused("the groups");
    }
    if (place_ == DataPlace::state) {
      if (auto status = create_entries(file, stored_, shapes_, image); !status) return status;
    }
    if (content == Content::data) return {};
    if (place_ == DataPlace::nodes) {
      if (auto s = create_virtual_entries(file, stored_, shapes_, *boxes); !s) return s;
    }
    return create_tables(file, *this, image);
  });
}

Result<StateImage> make_node_image(const EpochInfo& info, std::uint64_t node,
                                   const std::vector<Entry>& stored,
                                   const std::vector<std::uint64_t>& elements) {
  return make_file(info, [&](hid_t file, StateImage& image) -> Status {
    if (!write_attribute(file, "node", node)) return refused("the attributes");
    if (!create_groups(file, {regions_group, objects_group, delta_group})) {
      return refused("the groups");
    }
    Shapes shapes;
    for (const std::uint64_t count : elements) shapes.push_back({count});
    return create_entries(file, stored, shapes, image);
  });
}

}  // namespace cairn::io
