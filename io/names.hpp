// Every name in a checkpoint directory and every HDF5 path. io/FORMAT.md describes their content.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::io {

struct Entry;

/// Version of everything in a checkpoint directory. A reader refuses newer ones.
inline constexpr int format_version = 3;

inline constexpr std::string_view job_file = "JOB.json";
inline constexpr std::string_view commit_file = "COMMIT.json";
inline constexpr std::string_view state_file = "state.h5";
inline constexpr std::string_view compacted_file = "state-full.h5";  // instead of state.h5
inline constexpr std::string_view history_file = "history.jsonl";

inline constexpr std::string_view epoch_prefix = "epoch-";
inline constexpr std::string_view temporary_prefix = ".tmp-";  // an epoch being written
inline constexpr std::string_view removed_prefix = ".old-";    // an epoch being removed

inline constexpr const char* regions_group = "/regions";
inline constexpr const char* objects_group = "/objects";
inline constexpr const char* delta_group = "/delta";
inline constexpr const char* index_group = "/index";
inline constexpr const char* channels_group = "/channels";
inline constexpr const char* entries_table = "/index/entries";
inline constexpr const char* ranks_table = "/index/ranks";
inline constexpr const char* slabs_table = "/index/slabs";
inline constexpr const char* blocks_table = "/index/blocks";
inline constexpr const char* places_table = "/index/places";
inline constexpr const char* delta_ranks_table = "/delta/ranks";
inline constexpr const char* changes_table = "/delta/changes";
inline constexpr const char* changes_dataset = "/delta/data";
inline constexpr const char* communicators_table = "/channels/communicators";
inline constexpr const char* counters_table = "/channels/counters";
inline constexpr const char* messages_table = "/channels/messages";
inline constexpr const char* payload_dataset = "/channels/payload";

/// "epoch-00000012"
std::string epoch_directory_name(std::uint64_t epoch);
/// The number in a name made by epoch_directory_name, nothing for any other name.
std::optional<std::uint64_t> parse_epoch_directory_name(std::string_view name);

/// "state-node-0012.h5": the data of one node's ranks, when each node has a file.
std::string node_file_name(std::uint64_t node);

/// `name` as one HDF5 link name: '%', '/', control characters, a name of dots only, and bytes that
/// are not UTF-8 become %XX. Different names have different encodings.
std::string encode_link_name(std::string_view name);
/// Path of the dataset that holds an entry: /regions/<name>, or /objects/<name> when serialized.
std::string dataset_path(const Entry& entry);
/// What stands for the dataset of the changes where datasets of entries are laid out: the one entry
/// without a name.
Entry changes_entry();

}  // namespace cairn::io
