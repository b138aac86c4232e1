// Numbers, ages and tables for people.
#pragma once

#include <cstdint>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace cairn::command {

/// "512 B", "1.5 MiB"
std::string human_bytes(std::uint64_t bytes);
/// "just now", "5 min ago", "3 days ago"; of a time as in COMMIT.json, which is returned as it is
/// when it can't be read.
std::string human_age(const std::string& utc, std::time_t now);

/// Prints rows in aligned columns, the first one as a heading. Columns named in `right` (by number)
/// are aligned to the right.
void print_table(const std::vector<std::vector<std::string>>& rows,
                 const std::vector<std::size_t>& right);

void print_json(const nlohmann::ordered_json& document);

}  // namespace cairn::command
