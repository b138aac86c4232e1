// MPI datatypes in a checkpoint: predefined ones by name, derived ones by how they were made.
#pragma once

#include <mpi.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace cairn {

/// "MPI_DOUBLE", or {"made_by": "vector", "integers": […], "addresses": […], "types": […]} with
/// what MPI_Type_get_contents gives. Nothing when there is no way to make it again (types that
/// depend on the Fortran compiler). Local.
std::optional<nlohmann::json> describe_datatype(MPI_Datatype type);

/// A type in the program's memory that is freed at the end of its scope, unless it is predefined
/// or released.
class OwnDatatype {
 public:
  OwnDatatype() = default;
  explicit OwnDatatype(MPI_Datatype type, bool predefined) : type_(type), owned_(!predefined) {}
  OwnDatatype(OwnDatatype&& other) noexcept
      : type_(std::exchange(other.type_, MPI_DATATYPE_NULL)),
        owned_(std::exchange(other.owned_, false)) {}
  OwnDatatype& operator=(OwnDatatype&& other) noexcept {
    std::swap(type_, other.type_);
    std::swap(owned_, other.owned_);
    return *this;
  }
  ~OwnDatatype();
  MPI_Datatype get() const { return type_; }
  /// Whether the caller has to free what release() returns.
  bool owned() const { return owned_; }
  MPI_Datatype release() {
    owned_ = false;
    return type_;
  }

 private:
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
  bool owned_ = false;
};

/// Makes a described type again, committed; MPI_DATATYPE_NULL when the description makes no sense.
/// Local.
OwnDatatype make_datatype(const nlohmann::json& description);

}  // namespace cairn
