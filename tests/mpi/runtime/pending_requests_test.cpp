// Requests that are pending at a checkpoint: registered ones, and those that the program posts
// again itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include <cairn/cairn.hpp>

#include "io/store.hpp"
#include "io/verify.hpp"
#include "mpi_bindings/channel_layer.hpp"
#include "tests/support/directory.hpp"
#include "tests/support/world.hpp"

namespace cairn {
namespace {

using testing::HasSubstr;

int next_rank() { return (world_rank() + 1) % world_size(); }
int previous_rank() { return (world_rank() + world_size() - 1) % world_size(); }

void expect_sound(const test::Directory& directory, std::uint64_t epoch) {
  PMPI_Barrier(MPI_COMM_WORLD);
  if (world_rank() == 0) {
    const auto report = io::verify_epoch(io::Store{directory.path()}, epoch);
    EXPECT_TRUE(report.good) << (report.problems.empty() ? "" : report.problems.front());
  }
  PMPI_Barrier(MPI_COMM_WORLD);
}

std::string name_of_protocol(const testing::TestParamInfo<const char*>& tested) {
  return std::string{tested.param} == "coordinated" ? "coordinated" : "chandy_lamport";
}

class PendingRequests : public testing::TestWithParam<const char*> {
 protected:
  Options options() const {
    Options options;
    options.directory = directory_.path();
    options.log_level = "error";
    options.protocol = GetParam();
    options.keep = 100;
    options.interval = Interval::every_safe_points(1);
    return options;
  }
  Options restarting_from(std::uint64_t epoch) const {
    Options from = options();
    from.interval = Interval::off();
    from.restart = {RestartFrom::Kind::epoch, epoch};
    return from;
  }
  /// A safe point at which an epoch is taken, and committed before this returns. The program makes
  /// no progress with its own requests meanwhile.
  static void take_epoch(Session& session) {
    const std::uint64_t epoch = session.epoch() + 1;
    session.safe_point();
    const double begin = MPI_Wtime();
    while (session.epoch() < epoch && MPI_Wtime() - begin < 20) {
      int flag = 0;
      MPI_Iprobe(MPI_ANY_SOURCE, 999, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
    }
    ASSERT_EQ(session.epoch(), epoch);
  }
  /// Programs have `protect(session)`, `before()` up to the safe point, `after()` from there on.
  /// Runs one, with a checkpoint in the middle, and restarts it in other memory.
  template <class Program>
  void interrupt() {
    Program first;
    {
      Session session{MPI_COMM_WORLD, options()};
      first.protect(session);
      ASSERT_EQ(session.restart(), 0U);
      first.before();
      take_epoch(session);
      first.after();
    }
    expect_sound(directory_, 1);
    Program second;
    Session session{MPI_COMM_WORLD, restarting_from(1)};
    second.protect(session);
    ASSERT_EQ(session.restart(), 1U);
    second.after();
    EXPECT_EQ(mpi::layer->pending_requests(), 0U);
    PMPI_Barrier(MPI_COMM_WORLD);
  }
  /// What a checkpoint that is refused says on this rank.
  std::string refused(Session& session) const {
    testing::internal::CaptureStderr();
    const Status status = session.checkpoint();
    std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(status.code(), Code::busy) << status.message();
    return said;
  }

  test::Directory directory_;
};

INSTANTIATE_TEST_SUITE_P(, PendingRequests, testing::Values("coordinated", "chandy-lamport"),
                         name_of_protocol);

/// Everything that the previous rank has sent up to now has got to MPI's matching here.
void wait_for_arrival() {
  int token = 0;
  MPI_Sendrecv_replace(&token, 1, MPI_INT, next_rank(), 77, previous_rank(), 77, MPI_COMM_WORLD,
                       MPI_STATUS_IGNORE);
}

/// A field on a ring of ranks, relaxed with ghost values that are received a step ahead, in two
/// buffers: at its safe points some receives have got a message, some have not.
class Halo {
 public:
  static constexpr int steps = 40;

  void protect(Session& session, bool registered) {
    session.protect("field", field_);
    session.protect("ghosts", ghosts_.data(), ghosts_.size());
    session.protect("step", step_);
    if (registered) session.protect("halo", std::span<MPI_Request>{receives_});
  }
  /// Returns the field as it is in the end.
  std::vector<double> run(Session& session, bool post_again) {
    if (step_ == 0) post(0);
    if (step_ > 0 && post_again) {
      post(step_);
      post(step_ + 1);
    }
    while (step_ < steps) {
      if (!at_safe_point_) {
        post(step_ + 1);
        const std::array<double, 2> edges{field_.front(), field_.back()};
        MPI_Send(&edges[0], 1, MPI_DOUBLE, previous_rank(), 2 * (step_ % 2), MPI_COMM_WORLD);
        MPI_Send(&edges[1], 1, MPI_DOUBLE, next_rank(), 2 * (step_ % 2) + 1, MPI_COMM_WORLD);
        session.safe_point();
      }
      at_safe_point_ = false;
      MPI_Waitall(2, &receives_[place(step_)], MPI_STATUSES_IGNORE);
      relax();
      ++step_;
    }
    for (int i = 0; i < 2; ++i) MPI_Cancel(&receives_[place(steps) + static_cast<std::size_t>(i)]);
    MPI_Waitall(2, &receives_[place(steps)], MPI_STATUSES_IGNORE);
    return field_;
  }
  void continues() { at_safe_point_ = true; }

 private:
  static std::size_t place(int step) { return static_cast<std::size_t>(step % 2) * 2; }
  void post(int step) {
    const std::size_t i = place(step);
    MPI_Irecv(&ghosts_[i], 1, MPI_DOUBLE, next_rank(), 2 * (step % 2), MPI_COMM_WORLD,
              &receives_[i]);
    MPI_Irecv(&ghosts_[i + 1], 1, MPI_DOUBLE, previous_rank(), 2 * (step % 2) + 1, MPI_COMM_WORLD,
              &receives_[i + 1]);
  }
  void relax() {
    const double right = ghosts_[place(step_)];
    const double left = ghosts_[place(step_) + 1];
    std::vector<double> relaxed(field_.size());
    for (std::size_t i = 0; i < field_.size(); ++i) {
      const double before = i == 0 ? left : field_[i - 1];
      const double behind = i + 1 == field_.size() ? right : field_[i + 1];
      relaxed[i] = 0.3 * before + 0.45 * field_[i] + 0.2499 * behind + 1e-3 * (step_ % 5);
    }
    field_ = std::move(relaxed);
  }

  std::vector<double> field_ = std::vector<double>(50, 0.1 + world_rank());
  std::array<double, 4> ghosts_{};
  std::array<MPI_Request, 4> receives_{MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL,
                                       MPI_REQUEST_NULL};
  int step_ = 0;
  bool at_safe_point_ = false;
};

class HaloTest : public PendingRequests {
 protected:
  void run(bool registered) {
    Options settings = options();
    settings.pending_requests = registered ? "refuse" : "repost";
    settings.interval = Interval::every_safe_points(7);
    std::vector<double> expected;
    {
      Halo halo;
      Session session{MPI_COMM_WORLD, settings};
      halo.protect(session, registered);
      ASSERT_EQ(session.restart(), 0U);
      expected = halo.run(session, !registered);
    }
    std::vector<std::uint64_t> epochs;
    PMPI_Barrier(MPI_COMM_WORLD);
    { Session finish_writing{MPI_COMM_WORLD, options()}; }
    epochs = io::Store{directory_.path()}.epochs();
    ASSERT_GE(epochs.size(), 3U);
    for (const std::uint64_t epoch : epochs) {
      expect_sound(directory_, epoch);
      Halo halo;
      Options from = restarting_from(epoch);
      from.pending_requests = settings.pending_requests;
      Session session{MPI_COMM_WORLD, from};
      halo.protect(session, registered);
      ASSERT_EQ(session.restart(), epoch);
      halo.continues();
      EXPECT_EQ(halo.run(session, !registered), expected) << "epoch " << epoch;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(, HaloTest, testing::Values("coordinated", "chandy-lamport"),
                         name_of_protocol);

TEST_P(HaloTest, RegisteredReceivesAreRestored) { run(true); }
TEST_P(HaloTest, TheProgramPostsItsReceivesAgain) { run(false); }

/// Receives that nothing has been sent to at the safe point, wildcards among them.
struct Unmatched {
  std::vector<int> values = std::vector<int>(4);
  std::vector<MPI_Request> requests = std::vector<MPI_Request>(4, MPI_REQUEST_NULL);

  void protect(Session& session) {
    session.protect("values", values);
    session.protect("requests", requests);
  }
  void before() {
    MPI_Irecv(&values[2], 1, MPI_INT, previous_rank(), 5, MPI_COMM_WORLD, &requests[2]);
    MPI_Irecv(&values[0], 1, MPI_INT, MPI_ANY_SOURCE, 6, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(&values[3], 1, MPI_INT, previous_rank(), MPI_ANY_TAG, MPI_COMM_WORLD, &requests[3]);
    MPI_Irecv(&values[1], 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &requests[1]);
  }
  void after() {
    for (const int tag : {8, 9, 6, 5}) {
      MPI_Send(&tag, 1, MPI_INT, next_rank(), tag, MPI_COMM_WORLD);
    }
    std::vector<MPI_Status> statuses(4);
    MPI_Waitall(4, requests.data(), statuses.data());
    EXPECT_THAT(values, testing::ElementsAre(6, 9, 5, 8));
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(statuses[i].MPI_SOURCE, previous_rank());
      EXPECT_EQ(statuses[i].MPI_TAG, values[i]);
    }
  }
};

TEST_P(PendingRequests, UnmatchedReceivesKeepTheirOrder) { interrupt<Unmatched>(); }

/// Receives that have got their messages at the safe point, in an order in which the first
/// wildcard must not take what belongs to the second receive.
struct Matched {
  std::array<int, 3> values{};
  MPI_Request requests[3] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL};

  void protect(Session& session) {
    session.protect("values", values);
    session.protect("requests", requests);
  }
  void before() {
    MPI_Irecv(&values[0], 1, MPI_INT, previous_rank(), 3, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(&values[1], 1, MPI_INT, MPI_ANY_SOURCE, 3, MPI_COMM_WORLD, &requests[1]);
    MPI_Irecv(&values[2], 1, MPI_INT, previous_rank(), MPI_ANY_TAG, MPI_COMM_WORLD, &requests[2]);
    for (const int value : {31, 32, 33}) {
      MPI_Send(&value, 1, MPI_INT, next_rank(), 3, MPI_COMM_WORLD);
    }
    wait_for_arrival();
  }
  void after() {
    MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
    EXPECT_THAT(values, testing::ElementsAre(31, 32, 33));
  }
};

TEST_P(PendingRequests, MatchedReceivesGetTheirMessagesAgain) {
  interrupt<Matched>();
  if (world_rank() == 0) {
    const auto info = io::Store{directory_.path()}.read_commit(1);
    ASSERT_TRUE(info.ok());
    EXPECT_EQ(info->messages_in_flight, 3U * static_cast<unsigned>(world_size()));
  }
}

TEST_P(PendingRequests, WhatIsStillPendingIsRecordedAgain) {
  {
    Matched program;
    Session session{MPI_COMM_WORLD, options()};
    program.protect(session);
    session.restart();
    program.before();
    for (int i = 0; i < 3; ++i) take_epoch(session);
    program.after();
  }
  for (std::uint64_t epoch = 1; epoch <= 3; ++epoch) {
    expect_sound(directory_, epoch);
    Matched program;
    Session session{MPI_COMM_WORLD, restarting_from(epoch)};
    program.protect(session);
    ASSERT_EQ(session.restart(), epoch);
    program.after();
    PMPI_Barrier(MPI_COMM_WORLD);
  }
}

TEST_P(PendingRequests, SurviveARestartOfARestart) {
  {
    Matched program;
    Session session{MPI_COMM_WORLD, options()};
    program.protect(session);
    session.restart();
    program.before();
    take_epoch(session);
    program.after();
  }
  {
    Matched program;
    Session session{MPI_COMM_WORLD, options()};
    program.protect(session);
    ASSERT_EQ(session.restart(), 1U);
    take_epoch(session);  // the receives have been given their messages from the store
    program.after();
  }
  expect_sound(directory_, 2);
  Matched program;
  Session session{MPI_COMM_WORLD, restarting_from(2)};
  program.protect(session);
  ASSERT_EQ(session.restart(), 2U);
  program.after();
  PMPI_Barrier(MPI_COMM_WORLD);
}

/// A message that MPI sends by rendezvous, with its receive posted before or after the safe point.
template <bool posted>
struct LargeMessage {
  static constexpr int count = 1 << 17;
  std::vector<double> sent = std::vector<double>(count, 1.5 + world_rank());
  std::vector<double> received = std::vector<double>(count);
  MPI_Request send = MPI_REQUEST_NULL;
  MPI_Request receive = MPI_REQUEST_NULL;

  void protect(Session& session) {
    session.protect("received", received);
    session.protect("send", send);
    session.protect("receive", &receive, 1);
  }
  void before() {
    if (posted) post();
    MPI_Isend(sent.data(), count, MPI_DOUBLE, next_rank(), 1, MPI_COMM_WORLD, &send);
    wait_for_arrival();
  }
  void after() {
    if (!posted) post();
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    MPI_Wait(&receive, MPI_STATUS_IGNORE);
    EXPECT_EQ(received, std::vector<double>(count, 1.5 + previous_rank()));
  }
  void post() {
    MPI_Irecv(received.data(), count, MPI_DOUBLE, previous_rank(), 1, MPI_COMM_WORLD, &receive);
  }
};

TEST_P(PendingRequests, SendsArriveAndAreComplete) { interrupt<LargeMessage<false>>(); }
TEST_P(PendingRequests, ReceivesUnderWay) { interrupt<LargeMessage<true>>(); }

/// Small ones, which MPI has completed when it hands them out; one of them goes nowhere.
struct SmallMessages {
  std::array<int, 2> sent{11 + world_rank(), 12};
  std::array<int, 2> received{};
  std::array<MPI_Request, 3> sends{MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL};

  void protect(Session& session) {
    session.protect("received", received);
    session.protect("sends", sends);
  }
  void before() {
    MPI_Isend(&sent[0], 1, MPI_INT, next_rank(), 1, MPI_COMM_WORLD, sends.data());
    MPI_Isend(&sent[1], 1, MPI_INT, next_rank(), 1, MPI_COMM_WORLD, &sends[1]);
    MPI_Isend(&sent[1], 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD, &sends[2]);
  }
  void after() {
    for (int& value : received) {
      MPI_Recv(&value, 1, MPI_INT, previous_rank(), 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    EXPECT_THAT(received, testing::ElementsAre(11 + previous_rank(), 12));
    MPI_Waitall(3, sends.data(), MPI_STATUSES_IGNORE);
    EXPECT_EQ(mpi::layer->pending_requests(), 0U);
  }
};

TEST_P(PendingRequests, SmallSendsArriveAndAreComplete) { interrupt<SmallMessages>(); }

TEST_P(PendingRequests, SmallSendsThatAreNotRegisteredAreRefused) {
  Options settings = options();
  settings.interval = Interval::off();
  settings.log_level = "warning";
  SmallMessages program;
  Session session{MPI_COMM_WORLD, settings};
  session.restart();
  program.before();
  EXPECT_THAT(refused(session), HasSubstr("MPI_Isend"));
  program.after();
  EXPECT_TRUE(session.checkpoint().ok());
}

/// Columns of a matrix, by a derived type that is freed while it is in use.
struct Column {
  std::vector<double> matrix = std::vector<double>(12);
  MPI_Request request = MPI_REQUEST_NULL;

  void protect(Session& session) {
    session.protect("matrix", matrix);
    session.protect("request", request);
  }
  void before() {
    MPI_Datatype vector = MPI_DATATYPE_NULL;
    MPI_Datatype column = MPI_DATATYPE_NULL;
    MPI_Type_vector(3, 1, 4, MPI_DOUBLE, &vector);
    MPI_Type_create_resized(vector, 0, sizeof(double), &column);
    MPI_Type_commit(&column);
    MPI_Irecv(&matrix[1], 2, column, previous_rank(), 4, MPI_COMM_WORLD, &request);
    MPI_Type_free(&vector);
    MPI_Type_free(&column);
  }
  void after() {
    const std::array<double, 6> values{1, 2, 3, 4, 5, 6};
    MPI_Send(values.data(), 6, MPI_DOUBLE, next_rank(), 4, MPI_COMM_WORLD);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    EXPECT_THAT(matrix, testing::ElementsAre(0, 1, 4, 0, 0, 2, 5, 0, 0, 3, 6, 0));
  }
};

TEST_P(PendingRequests, DerivedTypes) { interrupt<Column>(); }

/// Made in set-up, in every run; one active at the safe point, one not.
struct Persistent {
  int in = 0;
  int out = 10 + world_rank();
  std::array<MPI_Request, 4> requests{};

  Persistent() {
    MPI_Recv_init(&in, 1, MPI_INT, previous_rank(), 2, MPI_COMM_WORLD, &requests[0]);
    MPI_Send_init(&out, 1, MPI_INT, next_rank(), 2, MPI_COMM_WORLD, requests.data() + 1);
    MPI_Recv_init(&in, 1, MPI_INT, MPI_PROC_NULL, 2, MPI_COMM_WORLD, &requests[2]);
    MPI_Send_init(&out, 1, MPI_INT, next_rank(), 3, MPI_COMM_WORLD, &requests[3]);
  }
  ~Persistent() {
    for (auto& request : requests) MPI_Request_free(&request);
  }
  Persistent(const Persistent&) = delete;
  Persistent& operator=(const Persistent&) = delete;
  void protect(Session& session) { session.protect("requests", requests); }
  void before() {
    MPI_Start(&requests[0]);
    MPI_Start(&requests[2]);
    MPI_Start(&requests[3]);
  }
  void after() {
    MPI_Start(&requests[1]);
    MPI_Waitall(4, requests.data(), MPI_STATUSES_IGNORE);
    EXPECT_EQ(in, 10 + previous_rank());
    int other = 0;
    MPI_Recv(&other, 1, MPI_INT, previous_rank(), 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    EXPECT_EQ(other, 10 + previous_rank());
    MPI_Startall(2, requests.data());  // they are as good as new
    MPI_Waitall(2, requests.data(), MPI_STATUSES_IGNORE);
  }
};

TEST_P(PendingRequests, PersistentReceivesAreStartedAgain) { interrupt<Persistent>(); }

/// What completes without a message, or has been seen to be complete.
struct Odd {
  std::array<int, 4> values{};
  std::array<MPI_Request, 4> requests{MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL,
                                      MPI_REQUEST_NULL};

  void protect(Session& session) {
    session.protect("values", values);
    session.protect("requests", requests);
  }
  void before() {
    MPI_Irecv(&values[0], 1, MPI_INT, next_rank(), 40, MPI_COMM_WORLD, requests.data());
    MPI_Cancel(requests.data());
    MPI_Irecv(&values[1], 1, MPI_INT, MPI_PROC_NULL, 41, MPI_COMM_WORLD, &requests[1]);
    const int value = 5;
    MPI_Irecv(&values[2], 1, MPI_INT, previous_rank(), 42, MPI_COMM_WORLD, &requests[2]);
    MPI_Send(&value, 1, MPI_INT, next_rank(), 42, MPI_COMM_WORLD);
    for (int seen = 0; seen == 0;) {
      MPI_Request_get_status(requests[2], &seen, MPI_STATUS_IGNORE);
    }
  }
  void after() {
    MPI_Status status;
    int cancelled = 0;
    MPI_Wait(requests.data(), &status);
    MPI_Test_cancelled(&status, &cancelled);
    EXPECT_EQ(cancelled, 1);
    MPI_Wait(&requests[1], &status);
    EXPECT_EQ(status.MPI_SOURCE, MPI_PROC_NULL);
    MPI_Wait(&requests[2], MPI_STATUS_IGNORE);
    EXPECT_EQ(values[2], 5);
    MPI_Wait(&requests[3], MPI_STATUS_IGNORE);
  }
};

TEST_P(PendingRequests, CancelledNullAndObservedOnes) { interrupt<Odd>(); }

TEST_P(PendingRequests, UnregisteredOnesAreRefusedByName) {
  Options settings = options();
  settings.interval = Interval::off();
  settings.log_level = "warning";
  Session session{MPI_COMM_WORLD, settings};
  session.restart();
  int value = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Irecv(&value, 1, MPI_INT, world_rank(), 5, MPI_COMM_WORLD, &request);
  EXPECT_THAT(refused(session), HasSubstr("MPI_Irecv (peer"));
  MPI_Cancel(&request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  EXPECT_TRUE(session.checkpoint().ok());
}

TEST_P(PendingRequests, WhatCantBeRestoredIsRefusedByName) {
  Options settings = options();
  settings.interval = Interval::off();
  settings.log_level = "warning";
  Session session{MPI_COMM_WORLD, settings};
  std::array<int, 2> inside{};
  std::array<int, 2> outside{};
  std::array<MPI_Request, 2> requests{MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  session.protect("inside", inside);
  session.protect("halo", requests);
  session.restart();
  const auto refusal_of = [&](int* buffer, int count, MPI_Datatype type) {
    MPI_Irecv(buffer, count, type, world_rank(), 5, MPI_COMM_WORLD, &requests[1]);
    const std::string said = refused(session);
    MPI_Cancel(&requests[1]);
    MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
    return said;
  };
  const auto unprotected = HasSubstr("request 1 of \"halo\": MPI_Irecv (peer");
  EXPECT_THAT(refusal_of(outside.data(), 1, MPI_INT), unprotected);
  EXPECT_THAT(refusal_of(outside.data(), 1, MPI_INT), HasSubstr("no protected memory"));
  EXPECT_THAT(refusal_of(&inside[1], 2, MPI_INT), unprotected);  // ends behind it
  MPI_Ibarrier(MPI_COMM_WORLD, &requests[1]);
  EXPECT_THAT(refused(session), HasSubstr("MPI_Ibarrier"));
  MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
  EXPECT_TRUE(session.checkpoint().ok());
}

// ---- The program posts its receives again itself.

class Repost : public PendingRequests {
 protected:
  Options options() const {
    Options options = PendingRequests::options();
    options.pending_requests = "repost";
    return options;
  }
};

INSTANTIATE_TEST_SUITE_P(, Repost, testing::Values("coordinated", "chandy-lamport"),
                         name_of_protocol);

TEST_P(Repost, EveryWayToCompleteAReceive) {
  constexpr int count = 8;
  std::array<int, count> values{};
  std::array<MPI_Request, count> requests{};
  const auto post = [&] {
    for (int i = 0; i < count; ++i) {
      MPI_Irecv(&values[static_cast<std::size_t>(i)], 1, MPI_INT, previous_rank(), i,
                MPI_COMM_WORLD, &requests[static_cast<std::size_t>(i)]);
    }
  };
  const auto expect_values = [&] {
    for (int i = 0; i < count; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], 100 + i);
    values = {};
  };
  {
    Session session{MPI_COMM_WORLD, options()};
    session.restart();
    post();
    for (int i = 0; i < count; ++i) {
      const int value = 100 + i;
      MPI_Send(&value, 1, MPI_INT, next_rank(), i, MPI_COMM_WORLD);
    }
    wait_for_arrival();
    session.safe_point();
    int done = 0;
    int which = 0;
    MPI_Wait(requests.data(), MPI_STATUS_IGNORE);
    while (done == 0) MPI_Test(&requests[1], &done, MPI_STATUS_IGNORE);
    MPI_Waitall(2, &requests[2], MPI_STATUSES_IGNORE);
    MPI_Waitany(1, &requests[4], &which, MPI_STATUS_IGNORE);
    for (done = 0; done == 0;) {
      MPI_Testsome(1, &requests[5], &done, &which, MPI_STATUSES_IGNORE);
    }
    MPI_Request_free(&requests[6]);
    for (done = 0; done == 0;) MPI_Testall(1, &requests[7], &done, MPI_STATUSES_IGNORE);
    const double begin = MPI_Wtime();
    while (session.epoch() == 0 && MPI_Wtime() - begin < 20) {
      MPI_Iprobe(MPI_ANY_SOURCE, 999, MPI_COMM_WORLD, &done, MPI_STATUS_IGNORE);
    }
    EXPECT_EQ(session.epoch(), 1U);
    EXPECT_EQ(mpi::layer->pending_requests(), 0U);
    expect_values();
  }
  expect_sound(directory_, 1);
  Session session{MPI_COMM_WORLD, restarting_from(1)};
  ASSERT_EQ(session.restart(), 1U);
  post();
  MPI_Waitall(count, requests.data(), MPI_STATUSES_IGNORE);
  expect_values();
  PMPI_Barrier(MPI_COMM_WORLD);
}

TEST_P(Repost, AnEpochDoesNotWaitForTheProgramToComplete) {
  int value = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  {
    Session session{MPI_COMM_WORLD, options()};
    session.restart();
    MPI_Irecv(&value, 1, MPI_INT, previous_rank(), 1, MPI_COMM_WORLD, &request);
    const int sent = 7;
    MPI_Send(&sent, 1, MPI_INT, next_rank(), 1, MPI_COMM_WORLD);
    wait_for_arrival();
    take_epoch(session);
    take_epoch(session);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    EXPECT_EQ(value, 7);
  }
  for (const std::uint64_t epoch : {2, 1}) {
    expect_sound(directory_, epoch);
    value = 0;
    Session session{MPI_COMM_WORLD, restarting_from(epoch)};
    ASSERT_EQ(session.restart(), epoch);
    MPI_Irecv(&value, 1, MPI_INT, previous_rank(), 1, MPI_COMM_WORLD, &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    EXPECT_EQ(value, 7);
    PMPI_Barrier(MPI_COMM_WORLD);
  }
}

TEST_P(Repost, ObservedReceivesAreNotInFlight) {
  int value = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  Session session{MPI_COMM_WORLD, options()};
  session.restart();
  MPI_Irecv(&value, 1, MPI_INT, previous_rank(), 1, MPI_COMM_WORLD, &request);
  const int sent = 7;
  MPI_Send(&sent, 1, MPI_INT, next_rank(), 1, MPI_COMM_WORLD);
  MPI_Status status;
  for (int seen = 0; seen == 0;) MPI_Request_get_status(request, &seen, &status);
  EXPECT_EQ(status.MPI_SOURCE, previous_rank());
  take_epoch(session);
  expect_sound(directory_, 1);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  EXPECT_EQ(value, 7);
  take_epoch(session);
  expect_sound(directory_, 2);
  if (world_rank() == 0) {
    EXPECT_EQ(io::Store{directory_.path()}.read_commit(1)->messages_in_flight, 0U);
  }
}

TEST_P(Repost, CancelledAndFreedOnes) {
  std::array<int, 2> values{};
  std::array<MPI_Request, 2> requests{};
  const int sent = 8;
  {
    Session session{MPI_COMM_WORLD, options()};
    session.restart();
    MPI_Irecv(values.data(), 1, MPI_INT, previous_rank(), 1, MPI_COMM_WORLD, requests.data());
    MPI_Irecv(&values[1], 1, MPI_INT, previous_rank(), 2, MPI_COMM_WORLD, &requests[1]);
    MPI_Request_free(&requests[1]);
    take_epoch(session);
    MPI_Cancel(requests.data());
    take_epoch(session);
    MPI_Wait(requests.data(), MPI_STATUS_IGNORE);
    MPI_Send(&sent, 1, MPI_INT, next_rank(), 2, MPI_COMM_WORLD);
    wait_for_arrival();
    EXPECT_EQ(mpi::layer->pending_requests(), 0U);
    EXPECT_EQ(values[1], 8);
  }
  expect_sound(directory_, 1);
  expect_sound(directory_, 2);
  values = {};
  Session session{MPI_COMM_WORLD, restarting_from(2)};
  ASSERT_EQ(session.restart(), 2U);
  MPI_Irecv(&values[1], 1, MPI_INT, previous_rank(), 2, MPI_COMM_WORLD, &requests[1]);
  MPI_Send(&sent, 1, MPI_INT, next_rank(), 2, MPI_COMM_WORLD);
  MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
  EXPECT_EQ(values[1], 8);
  PMPI_Barrier(MPI_COMM_WORLD);
}

TEST_P(Repost, MatchedProbesAndCollectivesAreStillRefused) {
  Options settings = options();
  settings.interval = Interval::off();
  settings.log_level = "warning";
  Session session{MPI_COMM_WORLD, settings};
  session.restart();
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  EXPECT_THAT(refused(session), HasSubstr("MPI_Ibarrier"));
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  int value = 3;
  MPI_Send(&value, 1, MPI_INT, world_rank(), 1, MPI_COMM_WORLD);
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Mprobe(world_rank(), 1, MPI_COMM_WORLD, &message, MPI_STATUS_IGNORE);
  EXPECT_THAT(refused(session), HasSubstr("MPI_Mprobe"));
  MPI_Mrecv(&value, 1, MPI_INT, &message, MPI_STATUS_IGNORE);
}

}  // namespace
}  // namespace cairn
