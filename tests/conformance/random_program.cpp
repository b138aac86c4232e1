// Random programs of all point-to-point calls, in which every byte, source, tag and count is known.
// usage: random_program [SEED [ROUNDS [FIRST_ROUND]]]; a failure prints what to run again.
#include <cstdlib>
#include <memory>

#include "check.hpp"
#include "random_buffer.hpp"
#include "random_schedule.hpp"

using namespace conformance;

namespace {

struct World {
  std::vector<Members> members;
  std::vector<MPI_Comm> comms;  // MPI_COMM_NULL where this rank is not in it

  World() {
    Members all, backwards, parts[2];
    for (int i = 0; i < comm_size(); ++i) {
      all.group.push_back(i);
      backwards.group.insert(backwards.group.begin(), i);
      parts[i % 2].group.push_back(i);
    }
    const int part = comm_rank() % 2;
    MPI_Comm dup, reversed, mine, bridge;
    MPI_Comm_dup(MPI_COMM_WORLD, &dup);
    MPI_Comm_split(dup, 0, -comm_rank(), &reversed);
    MPI_Comm_split(MPI_COMM_WORLD, part, 0, &mine);
    MPI_Intercomm_create(mine, 0, MPI_COMM_WORLD, 1 - part, 5, &bridge);
    members = {all, all, backwards, parts[0], parts[1], {parts[0].group, parts[1].group}};
    comms = {MPI_COMM_WORLD, dup, reversed, MPI_COMM_NULL, MPI_COMM_NULL, bridge};
    comms[part ? 4 : 3] = mine;
  }
  ~World() {
    for (MPI_Comm& comm : comms) {
      if (comm != MPI_COMM_WORLD && comm != MPI_COMM_NULL) MPI_Comm_free(&comm);
    }
  }
};

/// Runs one rank's part of a schedule.
class Player {
 public:
  Player(const World& world, const Schedule& schedule, int salt)
      : world_(world),
        schedule_(schedule),
        salt_(salt),
        sends_(schedule.messages.size()),
        receives_(schedule.receives.size()),
        doomed_(static_cast<std::size_t>(schedule.dooms), MPI_REQUEST_NULL) {}

  void play() {
    bool started = false;
    for (const Operation& operation : schedule_.ranks[static_cast<std::size_t>(comm_rank())]) {
      if (!started && operation.at > -.5) {
        MPI_Barrier(MPI_COMM_WORLD);  // what ready sends need is posted
        started = true;
      }
      run(operation);
    }
    if (!started) MPI_Barrier(MPI_COMM_WORLD);
    MPI_Barrier(MPI_COMM_WORLD);  // wildcards are done before the next round
    verify();
  }

 private:
  void run(const Operation& operation) {
    switch (operation.what) {
      case Do::send: send(operation.number); break;
      case Do::receive:
        posted_.push_back(operation.number);
        receive(operation.number);
        break;
      case Do::receive_probed: receive_probed(operation.number); break;
      case Do::wait: wait(operation); break;
      case Do::post_doomed:
        MPI_Irecv(&nowhere_, 1, MPI_INT, operation.number % 2 ? MPI_ANY_SOURCE : left(), kNeverSent,
                  MPI_COMM_WORLD, &doomed_[operation.number]);
        break;
      case Do::cancel_doomed: cancel(doomed_[operation.number], operation.variant); break;
      case Do::barrier: barrier(world_.comms[operation.number], operation.variant); break;
    }
  }

  std::vector<int> content(int message) const {
    return numbers(schedule_.messages[message].size, salt_ * 1000 + message);
  }

  void send(int number) {
    const Message& m = schedule_.messages[number];
    Transfer& t = sends_[number];
    t.buffer = std::make_unique<Buffer>(m.size, m.form);
    t.buffer->fill(content(number));
    const void* data = t.buffer->data();
    const int count = t.buffer->elements(), to = world_.members[m.comm].rank_of(m.dest);
    const MPI_Datatype type = t.buffer->type();
    const MPI_Comm comm = world_.comms[m.comm];
    switch (m.by) {
      case SendBy::send: MPI_Send(data, count, type, to, m.tag, comm); break;
      case SendBy::ssend: MPI_Ssend(data, count, type, to, m.tag, comm); break;
      case SendBy::bsend: MPI_Bsend(data, count, type, to, m.tag, comm); break;
      case SendBy::rsend: MPI_Rsend(data, count, type, to, m.tag, comm); break;
      case SendBy::isend: MPI_Isend(data, count, type, to, m.tag, comm, &t.request); break;
      case SendBy::issend: MPI_Issend(data, count, type, to, m.tag, comm, &t.request); break;
      case SendBy::ibsend: MPI_Ibsend(data, count, type, to, m.tag, comm, &t.request); break;
      case SendBy::irsend: MPI_Irsend(data, count, type, to, m.tag, comm, &t.request); break;
      case SendBy::persistent:
        MPI_Send_init(data, count, type, to, m.tag, comm, &t.request);
        MPI_Start(&t.request);
        t.persistent = true;
    }
    t.buffer->free_type();
  }

  void receive(int number) {
    const Receive& r = schedule_.receives[number];
    Transfer& t = receives_[number];
    t.buffer = std::make_unique<Buffer>(r.capacity, r.form);
    int from = r.source == kAny ? MPI_ANY_SOURCE : world_.members[r.comm].rank_of(r.source);
    int tag = r.tag == kAny ? MPI_ANY_TAG : r.tag, flag = 0;
    const MPI_Comm comm = world_.comms[r.comm];
    void* data = t.buffer->data();
    const int count = t.buffer->elements();
    MPI_Status probed;
    switch (r.by) {
      case ReceiveBy::recv:
        MPI_Recv(data, count, t.buffer->type(), from, tag, comm, &t.status);
        break;
      case ReceiveBy::probe:
      case ReceiveBy::iprobe:
        if (r.by == ReceiveBy::probe) MPI_Probe(from, tag, comm, &probed);
        while (r.by == ReceiveBy::iprobe && !flag) MPI_Iprobe(from, tag, comm, &flag, &probed);
        MPI_Recv(data, count, t.buffer->type(), probed.MPI_SOURCE, probed.MPI_TAG, comm, &t.status);
        compare(probed, t.status);
        break;
      case ReceiveBy::irecv:
        MPI_Irecv(data, count, t.buffer->type(), from, tag, comm, &t.request);
        break;
      case ReceiveBy::persistent:
        MPI_Recv_init(data, count, t.buffer->type(), from, tag, comm, &t.request);
        MPI_Start(&t.request);
        t.persistent = true;
        break;
      case ReceiveBy::mprobe:
        if (number % 2) MPI_Mprobe(from, tag, comm, &t.message, &t.status);
        while (number % 2 == 0 && !flag) {
          MPI_Improbe(from, tag, comm, &flag, &t.message, &t.status);
        }
        return;
    }
    t.buffer->free_type();
  }

  void receive_probed(int number) {
    Transfer& t = receives_[number];
    Buffer& b = *t.buffer;
    if (number % 3) {
      MPI_Imrecv(b.data(), b.elements(), b.type(), &t.message, &t.request);
    } else {
      const MPI_Status probed = t.status;
      MPI_Mrecv(b.data(), b.elements(), b.type(), &t.message, &t.status);
      compare(probed, t.status);
    }
    b.free_type();
  }

  void wait(const Operation& operation) {
    std::vector<Transfer*> pending;
    for (const int i : operation.messages) pending.push_back(&sends_[i]);
    for (const int i : operation.received) pending.push_back(&receives_[i]);
    std::erase_if(pending, [](const Transfer* t) { return t->request == MPI_REQUEST_NULL; });
    const int count = static_cast<int>(pending.size());
    std::vector<MPI_Request> requests;
    for (const Transfer* t : pending) requests.push_back(t->request);
    std::vector<MPI_Status> statuses(pending.size() + 1), some(pending.size() + 1);
    std::vector<int> indices(pending.size() + 1);
    int flag = 0;
    for (int done = 0; done < count;) {
      int outcount = 1, &index = indices[0];
      switch (operation.variant) {
        case 0: MPI_Waitall(count, requests.data(), statuses.data()); break;
        case 1:
          while (!flag) MPI_Testall(count, requests.data(), &flag, statuses.data());
          break;
        case 2: MPI_Waitany(count, requests.data(), &index, some.data()); break;
        case 3: MPI_Testany(count, requests.data(), &index, &outcount, some.data()); break;
        case 4: MPI_Waitsome(count, requests.data(), &outcount, indices.data(), some.data()); break;
        case 5: MPI_Testsome(count, requests.data(), &outcount, indices.data(), some.data()); break;
        case 6: MPI_Wait(&requests[index = done], some.data()); break;
        case 7:
          index = count - 1 - done;
          MPI_Test(&requests[index], &outcount, some.data());
          break;
        default:
          index = done;
          for (flag = 0; !flag;) MPI_Request_get_status(requests[index], &flag, &some[1]);
          MPI_Wait(&requests[index], some.data());
      }
      if (operation.variant < 2) break;
      CHECK(outcount >= 0);
      for (int i = 0; i < outcount; ++i) statuses[indices[i]] = some[i];
      done += outcount;
    }
    for (int i = 0; i < count; ++i) {
      pending[i]->status = statuses[i];
      CHECK((requests[i] == MPI_REQUEST_NULL) != pending[i]->persistent);
      if (pending[i]->persistent) MPI_Request_free(&requests[i]);
      pending[i]->request = MPI_REQUEST_NULL;
    }
  }

  void cancel(MPI_Request& request, int variant) {
    MPI_Status status;
    int flag = 0, cancelled = 0;
    MPI_Cancel(&request);
    if (variant == 0) MPI_Wait(&request, &status);
    while (variant == 1 && !flag) MPI_Test(&request, &flag, &status);
    MPI_Test_cancelled(&status, &cancelled);
    CHECK_EQ(cancelled, 1);
  }

  void barrier(MPI_Comm comm, int variant) {
    MPI_Request request;
    int in = 1, out = 0, flag = 0;
    if (variant == 0) MPI_Barrier(comm);
    if (variant == 1) {
      MPI_Ibarrier(comm, &request);
      while (!flag) MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
    }
    if (variant != 2) return;
    int inter = 0, size = comm_size(comm);
    MPI_Comm_test_inter(comm, &inter);
    if (inter) MPI_Comm_remote_size(comm, &size);
    MPI_Allreduce(&in, &out, 1, MPI_INT, MPI_SUM, comm);
    CHECK_EQ(out, size);
  }

  static void compare(const MPI_Status& probed, const MPI_Status& received) {
    int count = -1;
    MPI_Get_count(&received, MPI_INT, &count);
    CHECK_STATUS(probed, received.MPI_SOURCE, received.MPI_TAG, MPI_INT, count);
  }

  /// In the order of posting, each receive has the message that MPI owes it.
  void verify() {
    std::map<std::pair<int, int>, int> next;  // the first message not yet seen, per source
    for (const int number : posted_) {
      const Receive& r = schedule_.receives[number];
      const Transfer& t = receives_[number];
      const Members& members = world_.members[r.comm];
      int message = r.message;
      if (message == kAny) {
        const std::vector<int>& senders = members.senders_to(r.dest);
        const int rank = t.status.MPI_SOURCE;
        CHECK(rank >= 0 && rank < static_cast<int>(senders.size()));
        if (rank < 0 || rank >= static_cast<int>(senders.size())) continue;
        message = following(r, senders[static_cast<std::size_t>(rank)], next);
        if (message < 0) continue;
      }
      const Message& m = schedule_.messages[message];
      CHECK_STATUS(t.status, members.rank_of(m.source), m.tag, MPI_INT, m.size);
      CHECK(t.buffer->holds(content(message)));
    }
  }

  int following(const Receive& r, int source, std::map<std::pair<int, int>, int>& next) {
    int& i = next[{r.comm, source}];
    for (; i < static_cast<int>(schedule_.messages.size()); ++i) {
      const Message& m = schedule_.messages[i];
      if (m.comm == r.comm && m.dest == r.dest && m.source == source) return i++;
    }
    report(__FILE__, __LINE__, "more messages than this source has sent");
    return -1;
  }

  const World& world_;
  const Schedule& schedule_;
  int salt_;
  std::vector<Transfer> sends_, receives_;
  std::vector<MPI_Request> doomed_;
  std::vector<int> posted_;  // receives, in this rank's order
  int nowhere_ = 0;
};

/// Receives that stay pending over many rounds.
class Background {
 public:
  Background() {
    MPI_Comm_dup(MPI_COMM_WORLD, &comm_);
    for (int i = 0; i < kCount; ++i) {
      if (i % 2) MPI_Recv_init(&in_[i], 1, MPI_INT, left(), i, comm_, &requests_[i]);
      post(i);
    }
  }
  void round(int number) {
    const int i = number % kCount;
    MPI_Send(&number, 1, MPI_INT, right(), i, comm_);
    MPI_Status status;
    MPI_Wait(&requests_[i], &status);
    CHECK_STATUS(status, left(), i, MPI_INT, 1);
    CHECK_EQ(in_[i], number);
    post(i);
  }
  ~Background() {
    for (int i = 0; i < kCount; ++i) {
      MPI_Cancel(&requests_[i]);
      MPI_Wait(&requests_[i], MPI_STATUS_IGNORE);
      if (i % 2) MPI_Request_free(&requests_[i]);
    }
    MPI_Comm_free(&comm_);
  }

 private:
  static constexpr int kCount = 6;
  void post(int i) {
    if (i % 2) {
      MPI_Start(&requests_[i]);
    } else {
      MPI_Irecv(&in_[i], 1, MPI_INT, MPI_ANY_SOURCE, i, comm_, &requests_[i]);
    }
  }
  MPI_Comm comm_ = MPI_COMM_NULL;
  int in_[kCount] = {};
  MPI_Request requests_[kCount] = {};
};

int play_rounds(unsigned seed, int first, int rounds) {
  const World world;
  Background background;
  for (int round = first; round < first + rounds; ++round) {
    static char name[80];
    std::snprintf(name, sizeof(name), "random_program %u 1 %d", seed, round);
    running = name;
    alarm(kSecondsPerCase);
    Generator generator(seed * 1'000'003u + static_cast<unsigned>(round), comm_size(),
                        world.members);
    const Schedule schedule = generator.make();
    Player(world, schedule, round).play();
    background.round(round);
    int mine = failures.load(), all = 0;
    MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    if (all == 0) continue;
    if (comm_rank() == 0) std::fprintf(stderr, "run again: %s\n", name);
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  signal(SIGALRM, hung);
  const unsigned seed = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 1;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 40, first = argc > 3 ? std::atoi(argv[3]) : 0;
  std::vector<char> attached(8 << 20);
  MPI_Buffer_attach(attached.data(), static_cast<int>(attached.size()));
  const int failed = play_rounds(seed, first, rounds);
  void* buffer = nullptr;
  int size = 0;
  MPI_Buffer_detach(&buffer, &size);
  if (!failed && comm_rank() == 0) std::printf("result: %d cases passed\n", rounds);
  MPI_Finalize();
  return failed;
}
