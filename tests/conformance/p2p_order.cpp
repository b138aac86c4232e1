// Messages do not overtake: MPI-3.1 section 3.5, for every mix of wildcards and specific receives.
#include <algorithm>
#include <array>
#include <numeric>
#include <random>

#include "check.hpp"

using namespace conformance;

namespace {

struct Pattern {
  int source;
  int tag;
};

/// Which message each receive gets from one sender. The matching does not depend on timing: both
/// sides are served in order. Empty when a receive would stay without a message.
std::vector<int> matching(const std::vector<Pattern>& receives, const std::vector<int>& tags) {
  std::vector<bool> taken(tags.size());
  std::vector<int> result;
  for (const Pattern& receive : receives) {
    std::size_t i = 0;
    while (i < tags.size() &&
           (taken[i] || (receive.tag != MPI_ANY_TAG && receive.tag != tags[i]))) {
      ++i;
    }
    if (i == tags.size()) return {};
    taken[i] = true;
    result.push_back(static_cast<int>(i));
  }
  return result;
}

enum class When { posted_first, sent_first, racing };

/// Sends `tags` to the right and receives them from the left with `receives`, in these orders.
void exchange(const std::vector<Pattern>& receives, const std::vector<int>& tags, When when,
              MPI_Comm comm) {
  const std::vector<int> expected = matching(receives, tags);
  if (expected.empty()) return;
  std::vector<int> in(receives.size(), -1), out(tags.size());
  std::iota(out.begin(), out.end(), 100 * comm_rank());
  std::vector<MPI_Request> in_requests(in.size()), out_requests(out.size());
  const auto send = [&] {
    for (std::size_t i = 0; i < out.size(); ++i) {
      MPI_Isend(&out[i], 1, MPI_INT, right(), tags[i], comm, &out_requests[i]);
    }
  };
  if (when == When::sent_first) send();
  if (when == When::sent_first) MPI_Barrier(comm);
  for (std::size_t i = 0; i < in.size(); ++i) {
    MPI_Irecv(&in[i], 1, MPI_INT, receives[i].source, receives[i].tag, comm, &in_requests[i]);
  }
  if (when == When::posted_first) MPI_Barrier(comm);
  if (when != When::sent_first) send();
  std::vector<MPI_Status> statuses(in.size());
  MPI_Waitall(static_cast<int>(in.size()), in_requests.data(), statuses.data());
  MPI_Waitall(static_cast<int>(out.size()), out_requests.data(), MPI_STATUSES_IGNORE);
  for (std::size_t i = 0; i < in.size(); ++i) {
    CHECK_EQ(in[i], 100 * left() + expected[i]);
    CHECK_STATUS(statuses[i], left(), tags[static_cast<std::size_t>(expected[i])], MPI_INT, 1);
  }
  MPI_Barrier(comm);  // ANY_SOURCE must not see the next round
}

}  // namespace

TEST_CASE(same_tag_small_and_large) {
  constexpr int kCount = 40;
  std::vector<std::vector<int>> in, out;
  std::vector<MPI_Request> requests(2 * kCount);
  for (int i = 0; i < kCount; ++i) {
    const int count = i % 3 == 1 ? kLarge : 1 + i;
    in.emplace_back(static_cast<std::size_t>(count));
    out.push_back(numbers(count, 1000 * comm_rank() + i));
    MPI_Irecv(in.back().data(), count, MPI_INT, left(), 4, MPI_COMM_WORLD, &requests[2 * i]);
  }
  for (int i = 0; i < kCount; ++i) {
    const auto& data = out[static_cast<std::size_t>(i)];
    MPI_Isend(data.data(), static_cast<int>(data.size()), MPI_INT, right(), 4, MPI_COMM_WORLD,
              &requests[2 * i + 1]);
  }
  MPI_Waitall(2 * kCount, requests.data(), MPI_STATUSES_IGNORE);
  for (int i = 0; i < kCount; ++i) {
    const auto& data = in[static_cast<std::size_t>(i)];
    CHECK(data == numbers(static_cast<int>(data.size()), 1000 * left() + i));
  }
}

TEST_CASE(late_receives_find_messages_in_order) {
  constexpr int kCount = 200;
  std::vector<int> out(kCount);
  std::vector<MPI_Request> requests(kCount);
  for (int i = 0; i < kCount; ++i) {
    out[i] = i;
    MPI_Isend(&out[i], 1, MPI_INT, right(), i % 3, MPI_COMM_WORLD, &requests[i]);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  for (int tag = 2; tag >= 0; --tag) {
    for (int i = tag; i < kCount; i += 3) {
      int value = -1;
      MPI_Recv(&value, 1, MPI_INT, left(), tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      CHECK_EQ(value, i);
    }
  }
  MPI_Waitall(kCount, requests.data(), MPI_STATUSES_IGNORE);
}

TEST_CASE(every_posting_order_of_wildcards) {
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  std::vector<Pattern> receives{
      {left(), MPI_ANY_TAG}, {left(), 5}, {MPI_ANY_SOURCE, 5}, {MPI_ANY_SOURCE, MPI_ANY_TAG}};
  std::array<std::size_t, 4> order{0, 1, 2, 3};
  int round = 0;
  do {
    std::vector<Pattern> posted;
    for (const std::size_t i : order) posted.push_back(receives[i]);
    for (int bits = 0; bits < 16; ++bits) {
      std::vector<int> tags;
      for (int i = 0; i < 4; ++i) tags.push_back(bits >> i & 1 ? 5 : 6 + i % 2);
      exchange(posted, tags, static_cast<When>(round++ % 3), comm);
    }
  } while (std::next_permutation(order.begin(), order.end()));
  MPI_Comm_free(&comm);
}

TEST_CASE(long_random_orders) {
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  std::mt19937 random(17);  // the same on all ranks
  for (int round = 0; round < 60; ++round) {
    std::vector<Pattern> receives;
    std::vector<int> tags;
    for (int i = 0; i < 24; ++i) {
      tags.push_back(static_cast<int>(random() % 3));
      const int any = static_cast<int>(random() % 3);
      receives.push_back({random() % 2 ? MPI_ANY_SOURCE : left(), any ? tags.back() : MPI_ANY_TAG});
    }
    exchange(receives, tags, static_cast<When>(round % 3), comm);
  }
  MPI_Comm_free(&comm);
}

TEST_CASE(specific_receive_does_not_steal_from_an_earlier_wildcard) {
  for (int round = 0; round < 50; ++round) {
    int first = -1, second = -1, values[2] = {2 * round, 2 * round + 1};
    MPI_Request requests[2];
    MPI_Irecv(&first, 1, MPI_INT, left(), MPI_ANY_TAG, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(&second, 1, MPI_INT, left(), 5, MPI_COMM_WORLD, &requests[1]);
    for (const int& value : values) MPI_Send(&value, 1, MPI_INT, right(), 5, MPI_COMM_WORLD);
    MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
    MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
    CHECK_EQ(first, 2 * round);
    CHECK_EQ(second, 2 * round + 1);
  }
}

TEST_CASE(blocking_receive_comes_after_a_pending_one) {
  for (int round = 0; round < 50; ++round) {
    int first = -1, second = -1, values[2] = {2 * round, 2 * round + 1};
    MPI_Request request, sends[2];
    MPI_Irecv(&first, 1, MPI_INT, left(), 5, MPI_COMM_WORLD, &request);
    for (int i = 0; i < 2; ++i) {
      MPI_Isend(&values[i], 1, MPI_INT, right(), 5, MPI_COMM_WORLD, &sends[i]);
    }
    MPI_Recv(&second, 1, MPI_INT, left(), 5, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(second, 2 * round + 1);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    CHECK_EQ(first, 2 * round);
    MPI_Waitall(2, sends, MPI_STATUSES_IGNORE);
  }
}

TEST_CASE(all_send_modes_keep_one_order) {
  constexpr int kCount = 60;
  std::vector<char> buffer(kCount * (sizeof(int) + MPI_BSEND_OVERHEAD));
  MPI_Buffer_attach(buffer.data(), static_cast<int>(buffer.size()));
  std::vector<int> in(kCount, -1), out(kCount);
  std::vector<MPI_Request> receives(kCount), sends(kCount, MPI_REQUEST_NULL);
  for (int i = 0; i < kCount; ++i) {
    MPI_Irecv(&in[i], 1, MPI_INT, left(), i % 2 ? 3 : MPI_ANY_TAG, MPI_COMM_WORLD, &receives[i]);
  }
  MPI_Barrier(MPI_COMM_WORLD);  // the receives of the ready sends are posted
  for (int i = 0; i < kCount; ++i) {
    out[i] = i;
    switch (i * 7 % 5) {
      case 0: MPI_Send(&out[i], 1, MPI_INT, right(), 3, MPI_COMM_WORLD); break;
      case 1: MPI_Issend(&out[i], 1, MPI_INT, right(), 3, MPI_COMM_WORLD, &sends[i]); break;
      case 2: MPI_Bsend(&out[i], 1, MPI_INT, right(), 3, MPI_COMM_WORLD); break;
      case 3: MPI_Rsend(&out[i], 1, MPI_INT, right(), 3, MPI_COMM_WORLD); break;
      default: MPI_Isend(&out[i], 1, MPI_INT, right(), 3, MPI_COMM_WORLD, &sends[i]); break;
    }
  }
  MPI_Waitall(kCount, receives.data(), MPI_STATUSES_IGNORE);
  MPI_Waitall(kCount, sends.data(), MPI_STATUSES_IGNORE);
  CHECK_EQ(in, out);
  void* attached = nullptr;
  int size = 0;
  MPI_Buffer_detach(&attached, &size);
}

TEST_CASE(any_source_keeps_the_order_of_each_sender) {
  constexpr int kEach = 60;
  const int ranks = comm_size(), total = kEach * ranks;
  std::vector<int> in(2 * static_cast<std::size_t>(total)), next(static_cast<std::size_t>(ranks));
  std::vector<MPI_Request> receives(static_cast<std::size_t>(total)), sends;
  std::vector<MPI_Status> statuses(receives.size());
  std::vector<int> out(2 * static_cast<std::size_t>(total));
  for (int i = 0; i < total; ++i) {
    MPI_Irecv(&in[2 * i], 2, MPI_INT, MPI_ANY_SOURCE, 9, MPI_COMM_WORLD, &receives[i]);
  }
  for (int i = 0; i < kEach; ++i) {
    for (int to = 0; to < ranks; ++to) {
      int* pair = &out[2 * (i * ranks + to)];
      pair[0] = comm_rank();
      pair[1] = i;
      sends.emplace_back();
      MPI_Isend(pair, 2, MPI_INT, to, 9, MPI_COMM_WORLD, &sends.back());
    }
  }
  MPI_Waitall(total, receives.data(), statuses.data());
  MPI_Waitall(static_cast<int>(sends.size()), sends.data(), MPI_STATUSES_IGNORE);
  for (int i = 0; i < total; ++i) {
    CHECK_STATUS(statuses[i], in[2 * i], 9, MPI_INT, 2);
    CHECK_EQ(in[2 * i + 1], next[static_cast<std::size_t>(in[2 * i])]++);
  }
}

TEST_CASE(communicators_do_not_see_each_other) {
  constexpr int kComms = 4, kEach = 10;
  std::array<MPI_Comm, kComms> comms;
  for (MPI_Comm& comm : comms) MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  int in[kComms][kEach], out[kComms][kEach];
  std::vector<MPI_Request> requests;
  for (int i = 0; i < kEach; ++i) {
    for (int c = kComms - 1; c >= 0; --c) {  // posted in the opposite order of sending
      requests.emplace_back();
      MPI_Irecv(&in[c][i], 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, comms[c], &requests.back());
    }
  }
  for (int c = 0; c < kComms; ++c) {
    for (int i = 0; i < kEach; ++i) {
      out[c][i] = 100 * c + i;
      requests.emplace_back();
      MPI_Isend(&out[c][i], 1, MPI_INT, right(), 1, comms[c], &requests.back());
    }
  }
  MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  for (int c = 0; c < kComms; ++c) {
    for (int i = 0; i < kEach; ++i) CHECK_EQ(in[c][i], 100 * c + i);
  }
  for (MPI_Comm& comm : comms) MPI_Comm_free(&comm);
}

TEST_CASE(many_pending_receives_while_other_traffic_flows) {
  constexpr int kCount = 400;
  std::vector<int> in(kCount, -1), out(kCount);
  std::vector<MPI_Request> receives(kCount), sends(kCount);
  for (int i = 0; i < kCount; ++i) {
    MPI_Irecv(&in[i], 1, MPI_INT, left(), 1000 + i, MPI_COMM_WORLD, &receives[i]);
  }
  for (int step = 0; step < kCount; ++step) {
    const int i = step * 171 % kCount;  // 171 and 400 have no common factor
    int token = step, got = -1;
    MPI_Sendrecv(&token, 1, MPI_INT, left(), 2, &got, 1, MPI_INT, right(), 2, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
    CHECK_EQ(got, step);
    out[i] = i + 1;
    MPI_Isend(&out[i], 1, MPI_INT, right(), 1000 + i, MPI_COMM_WORLD, &sends[i]);
  }
  MPI_Waitall(kCount, sends.data(), MPI_STATUSES_IGNORE);
  MPI_Waitall(kCount, receives.data(), MPI_STATUSES_IGNORE);
  CHECK_EQ(in, out);
}

TEST_CASE(long_stream_of_blocking_calls) {
  constexpr int kCount = 1500;
  for (int i = 0; i < kCount; ++i) {
    int got = -1;
    if (comm_rank() == 0) {
      MPI_Send(&i, 1, MPI_INT, right(), i % 4, MPI_COMM_WORLD);
      MPI_Recv(&got, 1, MPI_INT, left(), i % 3 ? i % 4 : MPI_ANY_TAG, MPI_COMM_WORLD,
               MPI_STATUS_IGNORE);
    } else {
      MPI_Recv(&got, 1, MPI_INT, MPI_ANY_SOURCE, i % 4, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      MPI_Send(&got, 1, MPI_INT, right(), i % 4, MPI_COMM_WORLD);
    }
    CHECK_EQ(got, i);
  }
}

TEST_CASE(sender_runs_far_ahead) {
  constexpr int kCount = 1000;
  const int me = comm_rank();
  if (me % 2 == 0 && me + 1 < comm_size()) {
    std::vector<int> out(kCount);
    std::vector<MPI_Request> sends(kCount);
    for (int i = 0; i < kCount; ++i) {
      out[i] = i;
      MPI_Isend(&out[i], 1, MPI_INT, me + 1, i % 2, MPI_COMM_WORLD, &sends[i]);
    }
    MPI_Waitall(kCount, sends.data(), MPI_STATUSES_IGNORE);
  } else if (me % 2 == 1) {
    usleep(20'000);
    for (int i = 1; i < kCount; i += 2) {  // the odd ones first: the others pile up
      int got = -1;
      MPI_Recv(&got, 1, MPI_INT, me - 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      CHECK_EQ(got, i);
    }
    for (int i = 0; i < kCount; i += 2) {
      int got = -1;
      MPI_Recv(&got, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      CHECK_EQ(got, i);
    }
  }
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
