// changing_state: a program whose regions and objects change, grow, shrink, move, come and go.
//
// Every rank has the same names; what is in them depends on the rank. All of it follows from --seed
// and the step, so after a restart the program goes on as if nothing had been. A digest of the
// whole state is part of it: after a restart it must match, or the program ends with status 3. With
// --check it ends after that.
//
// The last line of rank 0 is `result: <digest>`. It depends on --seed, --steps and the number of
// ranks, and on nothing else.

#include <fmt/format.h>
#include <mpi.h>

#include <CLI/CLI.hpp>
#include <boost/serialization/map.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <cairn/cairn.hpp>
#include <cairn/serialize.hpp>

namespace {

struct Arguments {
  std::uint64_t seed = 1;
  std::uint64_t steps = 60;
  std::uint64_t pace_us = 0;
  bool check = false;
};

using Region = std::vector<std::uint64_t>;
using Object = std::map<std::string, Region>;

const std::vector<std::string> region_names = {"r0", "r1", "r2", "r3"};
const std::vector<std::string> object_names = {"o0", "o1"};

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t value = a ^ (b + 0x9e3779b97f4a7c15U + (a << 6U) + (a >> 2U));
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  return value ^ (value >> 27U);
}

class State {
 public:
  State(cairn::Session& session, std::uint64_t seed, int rank)
      : session_(session), seed_(seed), rank_(static_cast<std::uint64_t>(rank)) {
    session.protect("step", step_);
    session.protect("digest", digest_);
    session.protect("field", field_);
    session.protect_resizable("table", table_);
    session.serialize("names", names_);
    for (const auto& name : region_names) session.protect_later(name);
    for (const auto& name : object_names) session.protect_later(name);
  }

  /// What comes and goes is protected once it is known to be there.
  bool restore() {
    for (const std::string& name : names_) protect(name);
    return step_ == 0 || digest() == digest_;
  }

  void go_on() {
    ++step_;
    std::mt19937_64 shared{mix(seed_, step_)};
    come_and_go(shared);
    std::mt19937_64 own{mix(mix(seed_, step_), rank_ + 1)};
    change(table_, own, 40000);
    for (int i = 0; i < 20; ++i) field_[own() % field_.size()] = own();
    for (const std::string& name : names_) {
      if (name[0] == 'r') {
        change(regions_[name], own, 60000);
      } else {
        change_object(objects_[name], own);
      }
    }
    digest_ = digest();
  }

  std::uint64_t step() const { return step_; }
  std::uint64_t digest() const {
    std::uint64_t sum = mix(step_, rank_);
    for (const std::uint64_t value : field_) sum = mix(sum, value);
    for (const std::uint64_t value : table_) sum = mix(sum, value);
    for (const std::string& name : names_) {
      if (name[0] == 'r') {
        for (const std::uint64_t value : regions_.at(name)) sum = mix(sum, value);
        continue;
      }
      for (const auto& [key, values] : objects_.at(name)) {
        sum = mix(sum, key.size());
        for (const std::uint64_t value : values) sum = mix(sum, value);
      }
    }
    return sum;
  }

 private:
  void protect(const std::string& name) {
    if (name[0] == 'r') {
      session_.protect_resizable(name, regions_[name]);
    } else {
      session_.serialize(name, objects_[name]);
    }
  }

  void come_and_go(std::mt19937_64& random) {
    for (const auto* all : {&region_names, &object_names}) {
      const std::string& name = (*all)[random() % all->size()];
      const auto there = std::find(names_.begin(), names_.end(), name);
      if (there == names_.end() && random() % 3 == 0) {
        names_.push_back(name);
        protect(name);
      } else if (there != names_.end() && random() % 6 == 0) {
        if (!session_.unprotect(name)) std::abort();
        names_.erase(there);
        regions_.erase(name);
        objects_.erase(name);
      }
    }
  }

  static void change(Region& region, std::mt19937_64& random, std::uint64_t size) {
    if (region.empty()) region.resize(random() % size + size / 2);
    if (random() % 5 == 0) region.resize(region.size() + random() % 5000);
    if (random() % 9 == 0) region.resize(random() % (region.size() + 1) + 1);
    if (random() % 9 == 0) region = Region(region);  // elsewhere in memory
    for (std::uint64_t i = random() % (random() % 8 == 0 ? 300 : 4); i > 0; --i) {
      const std::uint64_t at = random() % region.size();
      const std::uint64_t count = std::min<std::uint64_t>(random() % 600, region.size() - at);
      for (std::uint64_t k = 0; k < count; ++k) region[at + k] = random();
    }
  }

  static void change_object(Object& object, std::mt19937_64& random) {
    if (object.size() < 30) object[fmt::format("key {}", random() % 50)].resize(random() % 2000);
    for (auto& [key, values] : object) {
      if (random() % 10 == 0 && !values.empty()) values[random() % values.size()] = random();
    }
    if (random() % 4 == 0 && !object.empty()) object.erase(object.begin());
  }

  cairn::Session& session_;
  std::uint64_t seed_, rank_;
  std::uint64_t step_ = 0, digest_ = 0;
  Region field_ = Region(300000);  // most of it stays as it is
  Region table_;
  std::vector<std::string> names_;
  std::map<std::string, Region> regions_;
  std::map<std::string, Object> objects_;
};

int run(const Arguments& arguments) {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  cairn::Session session{MPI_COMM_WORLD};
  State state{session, arguments.seed, rank};
  const std::uint64_t epoch = session.restart();
  if (!state.restore()) {
    fmt::print(stderr, "rank {}: step {} is not what it was\n", rank, state.step());
    MPI_Abort(MPI_COMM_WORLD, 3);
  }
  if (rank == 0 && epoch > 0) {
    fmt::print("continues at step {} (epoch {})\n", state.step(), epoch);
    std::fflush(stdout);
  }
  while (!arguments.check && state.step() < arguments.steps) {
    state.go_on();
    std::this_thread::sleep_for(std::chrono::microseconds{arguments.pace_us});
    MPI_Barrier(MPI_COMM_WORLD);
    session.safe_point();
  }
  const std::uint64_t mine = state.digest();
  std::uint64_t all = 0;
  MPI_Reduce(&mine, &all, 1, MPI_UINT64_T, MPI_BXOR, 0, MPI_COMM_WORLD);
  if (rank == 0) fmt::print("result: {:016x}\n", all);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  Arguments arguments;
  CLI::App app{"A program whose protected state changes in every way."};
  app.add_option("--seed", arguments.seed);
  app.add_option("--steps", arguments.steps);
  app.add_option("--pace-us", arguments.pace_us);
  app.add_flag("--check", arguments.check);
  int status = 0;
  try {
    app.parse(argc, argv);
    status = run(arguments);
  } catch (const CLI::ParseError& error) {
    status = app.exit(error);
  }
  MPI_Finalize();
  return status;
}
