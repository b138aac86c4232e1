#include <fmt/format.h>

#include <cairn/session.hpp>

#include "base/log.hpp"
#include "io/collective.hpp"
#include "runtime/environment.hpp"
#include "runtime/session_impl.hpp"

namespace cairn {
namespace {

/// A session that the program has closed while MPI is up: the other ranks may still need it. Never
/// destroyed at exit, since MPI may be gone by then.
SessionImpl* retired = nullptr;
bool is_open = false;

/// What a rank knows alone.
Status check_mpi() {
  int up = 0;
  int over = 0;
  PMPI_Initialized(&up);
  PMPI_Finalized(&over);
  if (up == 0 || over != 0) {
    return {Code::invalid_argument,
            "MPI is not initialized: make the cairn session between MPI_Init and MPI_Finalize"};
  }
  if (mpi::layer == nullptr) {
    return {Code::unsupported,
            "the program's messages can't be seen: MPI_Init did not pass through Cairn; link "
            "libcairn before libmpi, or preload it"};
  }
  return {};
}

Status check_call(MPI_Comm comm) {
  if (is_open) return {Code::invalid_argument, "a cairn session is open already: close it first"};
  int same = MPI_UNEQUAL;
  if (comm != MPI_COMM_NULL) PMPI_Comm_compare(comm, MPI_COMM_WORLD, &same);
  if (same == MPI_IDENT || same == MPI_CONGRUENT) return {};
  return {Code::invalid_argument,
          "a cairn session needs a communicator with the ranks of MPI_COMM_WORLD, in their order"};
}

/// Rank 0's settings, when `local` is ok on every rank. Collective over MPI_COMM_WORLD, on a
/// communicator of its own.
Result<std::string> settings_of_rank_0(const Status& local) {
  MPI_Comm comm = private_world();
  io::Collective all{comm};
  const Status status = all.agree(local);
  std::string settings = all.broadcast(environment_settings(), 0);
  PMPI_Comm_free(&comm);
  if (!status) return status;
  return settings;
}

void warn_of_unknown_variables() {
  for (const auto& name : unknown_variables()) {
    log::warning("{} is set, but there is no such setting; see the table in README.md", name);
  }
}

}  // namespace

Result<std::unique_ptr<SessionImpl>> open_session(MPI_Comm comm, Options options) {
  if (Status status = check_mpi(); !status) return status;
  {
    const mpi::Alone alone;
    mpi::layer->meet(*mpi::layer->find(MPI_COMM_WORLD), "cairn::Session");
  }
  const auto settings = settings_of_rank_0(check_call(comm));
  if (!settings) return settings.status();
  if (const Status status = apply_settings(*settings, options); !status) stop_program(status, 2);
  log::Level level{};
  if (log::parse_level(options.log_level, level)) log::set_level(level);
  if (retired != nullptr) {
    const mpi::Alone alone;
    if (retired->layer != nullptr) retired->finalize();
    delete retired;
    retired = nullptr;
  }
  auto impl = std::make_unique<SessionImpl>(*mpi::layer, std::move(options));
  if (impl->rank == 0) warn_of_unknown_variables();
  is_open = true;
  return impl;
}

Session::Session(std::unique_ptr<SessionImpl> impl) : impl_(std::move(impl)) {}

Session::Session(MPI_Comm comm, Options options) {
  auto impl = open_session(comm, std::move(options));
  if (!impl) stop_program(impl.status(), 2);
  impl_ = std::move(*impl);
}

Session::~Session() {
  is_open = false;
  if (impl_->layer == nullptr) return;  // MPI_Finalize has ended it
  impl_->close();
  retired = impl_.release();
}

void Session::protect_fixed(std::string_view name, ElementType type, std::size_t element_bytes,
                            void* data, std::size_t count, GlobalShape shape) {
  check_protected(impl_->protect(name, type, element_bytes, data, count, std::move(shape)));
}

void Session::protect_memory(std::string_view name, ElementType type, std::size_t element_bytes,
                             View view, GlobalShape shape, Resize resize) {
  capture::Item item;
  item.entry = {std::string{name}, type, static_cast<std::uint32_t>(element_bytes),
                std::move(shape.global)};
  item.offset = std::move(shape.offset);
  item.shape = std::move(shape.local);
  item.view = std::move(view);
  item.resize = std::move(resize);
  add_item(std::move(item));
}

void Session::protect_object(std::string_view name, Save save, Load load) {
  capture::Item item;
  item.entry = {std::string{name}, ElementType::serialized, 1, {}};
  item.save = std::move(save);
  item.load = std::move(load);
  add_item(std::move(item));
}

void Session::protect_requests(std::string_view name, RequestView view) {
  check_protected(impl_->protect(std::string{name}, std::move(view)));
}

void Session::add_item(capture::Item item) { check_protected(impl_->protect(std::move(item))); }

void Session::check_protected(const Status& status) {
  if (status) return;
  // The program's own mistake, before any work is done; perhaps on one rank only.
  log::error("{}", status.message());
  PMPI_Abort(MPI_COMM_WORLD, 2);
}

Status Session::unprotect(std::string_view name) { return impl_->unprotect(std::string{name}); }

void Session::protect_later(std::string_view name) { impl_->late.expect(std::string{name}); }

std::uint64_t Session::restart() { return impl_->restart(); }

bool Session::safe_point() {
  bool committed = false;
  const Status status = impl_->pass_safe_point(false, committed);
  static_cast<void>(status);  // has been reported; the program goes on (I14)
  return committed;
}

Status Session::checkpoint() {
  bool committed = false;
  return impl_->pass_safe_point(true, committed);
}

void Session::begin_safe_region() { impl_->begin_safe_region(); }

void Session::end_safe_region() {
  if (const Status status = impl_->end_safe_region(); !status) log::error("{}", status.message());
}

std::uint64_t Session::epoch() const { return impl_->epoch; }
std::uint64_t Session::safe_points() const { return impl_->safe_point_index; }

}  // namespace cairn
