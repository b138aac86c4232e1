#include "runtime/datatype_record.hpp"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn {
namespace {

struct Predefined {
  std::string_view name;
  MPI_Datatype type;
};

const Predefined predefined[] = {
    {"MPI_CHAR", MPI_CHAR},
    {"MPI_SIGNED_CHAR", MPI_SIGNED_CHAR},
    {"MPI_UNSIGNED_CHAR", MPI_UNSIGNED_CHAR},
    {"MPI_BYTE", MPI_BYTE},
    {"MPI_PACKED", MPI_PACKED},
    {"MPI_WCHAR", MPI_WCHAR},
    {"MPI_SHORT", MPI_SHORT},
    {"MPI_UNSIGNED_SHORT", MPI_UNSIGNED_SHORT},
    {"MPI_INT", MPI_INT},
    {"MPI_UNSIGNED", MPI_UNSIGNED},
    {"MPI_LONG", MPI_LONG},
    {"MPI_UNSIGNED_LONG", MPI_UNSIGNED_LONG},
    {"MPI_LONG_LONG", MPI_LONG_LONG},
    {"MPI_UNSIGNED_LONG_LONG", MPI_UNSIGNED_LONG_LONG},
    {"MPI_FLOAT", MPI_FLOAT},
    {"MPI_DOUBLE", MPI_DOUBLE},
    {"MPI_LONG_DOUBLE", MPI_LONG_DOUBLE},
    {"MPI_INT8_T", MPI_INT8_T},
    {"MPI_UINT8_T", MPI_UINT8_T},
    {"MPI_INT16_T", MPI_INT16_T},
    {"MPI_UINT16_T", MPI_UINT16_T},
    {"MPI_INT32_T", MPI_INT32_T},
    {"MPI_UINT32_T", MPI_UINT32_T},
    {"MPI_INT64_T", MPI_INT64_T},
    {"MPI_UINT64_T", MPI_UINT64_T},
    {"MPI_AINT", MPI_AINT},
    {"MPI_COUNT", MPI_COUNT},
    {"MPI_OFFSET", MPI_OFFSET},
    {"MPI_C_BOOL", MPI_C_BOOL},
    {"MPI_C_FLOAT_COMPLEX", MPI_C_FLOAT_COMPLEX},
    {"MPI_C_DOUBLE_COMPLEX", MPI_C_DOUBLE_COMPLEX},
    {"MPI_C_LONG_DOUBLE_COMPLEX", MPI_C_LONG_DOUBLE_COMPLEX},
    {"MPI_CXX_BOOL", MPI_CXX_BOOL},
    {"MPI_CXX_FLOAT_COMPLEX", MPI_CXX_FLOAT_COMPLEX},
    {"MPI_CXX_DOUBLE_COMPLEX", MPI_CXX_DOUBLE_COMPLEX},
    {"MPI_CXX_LONG_DOUBLE_COMPLEX", MPI_CXX_LONG_DOUBLE_COMPLEX},
    {"MPI_FLOAT_INT", MPI_FLOAT_INT},
    {"MPI_DOUBLE_INT", MPI_DOUBLE_INT},
    {"MPI_LONG_INT", MPI_LONG_INT},
    {"MPI_SHORT_INT", MPI_SHORT_INT},
    {"MPI_2INT", MPI_2INT},
    {"MPI_LONG_DOUBLE_INT", MPI_LONG_DOUBLE_INT},
    {"MPI_CHARACTER", MPI_CHARACTER},
    {"MPI_LOGICAL", MPI_LOGICAL},
    {"MPI_INTEGER", MPI_INTEGER},
    {"MPI_REAL", MPI_REAL},
    {"MPI_DOUBLE_PRECISION", MPI_DOUBLE_PRECISION},
    {"MPI_COMPLEX", MPI_COMPLEX},
    {"MPI_DOUBLE_COMPLEX", MPI_DOUBLE_COMPLEX},
    {"MPI_2INTEGER", MPI_2INTEGER},
    {"MPI_2REAL", MPI_2REAL},
    {"MPI_2DOUBLE_PRECISION", MPI_2DOUBLE_PRECISION},
};

struct Combiner {
  std::string_view name;
  int value;
};

constexpr std::array combiners = {
    Combiner{"dup", MPI_COMBINER_DUP},
    Combiner{"contiguous", MPI_COMBINER_CONTIGUOUS},
    Combiner{"vector", MPI_COMBINER_VECTOR},
    Combiner{"hvector", MPI_COMBINER_HVECTOR},
    Combiner{"indexed", MPI_COMBINER_INDEXED},
    Combiner{"hindexed", MPI_COMBINER_HINDEXED},
    Combiner{"indexed_block", MPI_COMBINER_INDEXED_BLOCK},
    Combiner{"hindexed_block", MPI_COMBINER_HINDEXED_BLOCK},
    Combiner{"struct", MPI_COMBINER_STRUCT},
    Combiner{"subarray", MPI_COMBINER_SUBARRAY},
    Combiner{"resized", MPI_COMBINER_RESIZED},
};

/// The arguments that a derived type was made with.
struct Contents {
  std::vector<int> integers;
  std::vector<MPI_Aint> addresses;
  std::vector<MPI_Datatype> types;

  /// Whether there are at least as many as a maker is about to read.
  bool has(std::size_t integer_count, std::size_t address_count, std::size_t type_count) const {
    return integers.size() >= integer_count && addresses.size() >= address_count &&
           types.size() >= type_count;
  }
};

/// Of the call that `combiner` names; MPI-3.1, section 4.1.13, says which argument is where.
MPI_Datatype make(int combiner, const Contents& contents) {
  const int* i = contents.integers.data();
  const MPI_Aint* a = contents.addresses.data();
  const MPI_Datatype* t = contents.types.data();
  const bool counted = contents.has(1, 0, 1) && i[0] >= 0;
  const auto n = counted ? static_cast<std::size_t>(i[0]) : 0;
  MPI_Datatype made = MPI_DATATYPE_NULL;
  switch (combiner) {
    case MPI_COMBINER_DUP:
      if (contents.has(0, 0, 1)) PMPI_Type_contiguous(1, t[0], &made);
      break;
    case MPI_COMBINER_CONTIGUOUS:
      if (counted) PMPI_Type_contiguous(i[0], t[0], &made);
      break;
    case MPI_COMBINER_VECTOR:
      if (contents.has(3, 0, 1)) PMPI_Type_vector(i[0], i[1], i[2], t[0], &made);
      break;
    case MPI_COMBINER_HVECTOR:
      if (contents.has(2, 1, 1)) PMPI_Type_create_hvector(i[0], i[1], a[0], t[0], &made);
      break;
    case MPI_COMBINER_INDEXED:
      if (counted && contents.has(2 * n + 1, 0, 1))
        PMPI_Type_indexed(i[0], i + 1, i + 1 + n, t[0], &made);
      break;
    case MPI_COMBINER_HINDEXED:
      if (counted && contents.has(n + 1, n, 1))
        PMPI_Type_create_hindexed(i[0], i + 1, a, t[0], &made);
      break;
    case MPI_COMBINER_INDEXED_BLOCK:
      if (counted && contents.has(n + 2, 0, 1))
        PMPI_Type_create_indexed_block(i[0], i[1], i + 2, t[0], &made);
      break;
    case MPI_COMBINER_HINDEXED_BLOCK:
      if (counted && contents.has(2, n, 1))
        PMPI_Type_create_hindexed_block(i[0], i[1], a, t[0], &made);
      break;
    case MPI_COMBINER_STRUCT:
      if (counted && contents.has(n + 1, n, n)) PMPI_Type_create_struct(i[0], i + 1, a, t, &made);
      break;
    case MPI_COMBINER_SUBARRAY:
      if (counted && contents.has(3 * n + 2, 0, 1))
        PMPI_Type_create_subarray(i[0], i + 1, i + 1 + n, i + 1 + 2 * n, i[1 + 3 * n], t[0], &made);
      break;
    case MPI_COMBINER_RESIZED:
      if (contents.has(0, 2, 1)) PMPI_Type_create_resized(t[0], a[0], a[1], &made);
      break;
    default: break;
  }
  return made;
}

}  // namespace

OwnDatatype::~OwnDatatype() {
  if (owned_) PMPI_Type_free(&type_);
}

std::optional<nlohmann::json> describe_datatype(MPI_Datatype type) {
  int sizes[3] = {0, 0, 0};
  int combiner = MPI_COMBINER_NAMED;
  PMPI_Type_get_envelope(type, &sizes[0], &sizes[1], &sizes[2], &combiner);
  if (combiner == MPI_COMBINER_NAMED) {
    for (const auto& known : predefined) {
      if (known.type == type) return known.name;
    }
    return std::nullopt;
  }
  Contents contents;
  contents.integers.resize(static_cast<std::size_t>(sizes[0]));
  contents.addresses.resize(static_cast<std::size_t>(sizes[1]));
  contents.types.resize(static_cast<std::size_t>(sizes[2]));
  PMPI_Type_get_contents(type, sizes[0], sizes[1], sizes[2], contents.integers.data(),
                         contents.addresses.data(), contents.types.data());
  nlohmann::json parts = nlohmann::json::array();
  for (MPI_Datatype part : contents.types) {
    int ignored = 0;
    int kind = MPI_COMBINER_NAMED;
    PMPI_Type_get_envelope(part, &ignored, &ignored, &ignored, &kind);
    const OwnDatatype ours{part, kind == MPI_COMBINER_NAMED};
    if (auto described = describe_datatype(part)) parts.push_back(std::move(*described));
  }
  if (parts.size() != contents.types.size()) return std::nullopt;
  for (const auto& known : combiners) {
    if (known.value != combiner) continue;
    return nlohmann::json{{"made_by", known.name},
                          {"integers", contents.integers},
                          {"addresses", contents.addresses},
                          {"types", std::move(parts)}};
  }
  return std::nullopt;
}

OwnDatatype make_datatype(const nlohmann::json& description) {
  if (description.is_string()) {
    const std::string name = description;
    for (const auto& known : predefined) {
      if (known.name == name) return OwnDatatype{known.type, true};
    }
    return {};
  }
  Contents contents;
  contents.integers = description.at("integers").get<std::vector<int>>();
  contents.addresses = description.at("addresses").get<std::vector<MPI_Aint>>();
  std::vector<OwnDatatype> parts;
  for (const auto& part : description.at("types")) {
    contents.types.push_back(parts.emplace_back(make_datatype(part)).get());
    if (contents.types.back() == MPI_DATATYPE_NULL) return {};
  }
  for (const auto& known : combiners) {
    if (known.name != description.at("made_by")) continue;
    MPI_Datatype made = make(known.value, contents);
    if (made == MPI_DATATYPE_NULL) return {};
    PMPI_Type_commit(&made);
    return OwnDatatype{made, false};
  }
  return {};
}

}  // namespace cairn
