// Status fields: MPI-3.1 section 3.2.5.
#include "check.hpp"

using namespace conformance;

namespace {

constexpr int kUntouched = 4242;

MPI_Status marked() {
  MPI_Status status;
  std::memset(&status, 0x5a, sizeof(status));
  status.MPI_ERROR = kUntouched;
  return status;
}

/// Starts a message of `count` ints around the ring.
MPI_Request start(const std::vector<int>& data, int tag) {
  MPI_Request request;
  MPI_Isend(data.data(), static_cast<int>(data.size()), MPI_INT, right(), tag, MPI_COMM_WORLD,
            &request);
  return request;
}

int elements(const MPI_Status& status, MPI_Datatype type) {
  int count = -1;
  MPI_Get_elements(&status, type, &count);
  return count;
}

int count(const MPI_Status& status, MPI_Datatype type) {
  int result = -1;
  MPI_Get_count(&status, type, &result);
  return result;
}

}  // namespace

TEST_CASE(calls_for_one_do_not_touch_the_error_field) {
  for (int form = 0; form < 10; ++form) {
    const std::vector<int> out = numbers(3, form);
    std::vector<int> in(5);
    MPI_Request send = start(out, form), receive;
    MPI_Status status = marked();
    MPI_Message message;
    int flag = 0, index = -1;
    const auto post = [&] {
      MPI_Irecv(in.data(), 5, MPI_INT, MPI_ANY_SOURCE, form, MPI_COMM_WORLD, &receive);
    };
    switch (form) {
      case 0:
        post();
        MPI_Wait(&receive, &status);
        break;
      case 1:
        for (post(); !flag;) MPI_Test(&receive, &flag, &status);
        break;
      case 2:
        post();
        MPI_Waitany(1, &receive, &index, &status);
        break;
      case 3:
        for (post(); !flag;) MPI_Testany(1, &receive, &index, &flag, &status);
        break;
      case 4:
        for (post(); !flag;) MPI_Request_get_status(receive, &flag, &status);
        MPI_Wait(&receive, MPI_STATUS_IGNORE);
        break;
      case 5: MPI_Probe(left(), form, MPI_COMM_WORLD, &status); break;
      case 6:
        while (!flag) MPI_Iprobe(left(), form, MPI_COMM_WORLD, &flag, &status);
        break;
      case 7: MPI_Mprobe(left(), form, MPI_COMM_WORLD, &message, &status); break;
      case 8:
        while (!flag) MPI_Improbe(left(), form, MPI_COMM_WORLD, &flag, &message, &status);
        break;
      default: MPI_Recv(in.data(), 5, MPI_INT, left(), form, MPI_COMM_WORLD, &status);
    }
    CHECK_STATUS(status, left(), form, MPI_INT, 3);
    CHECK_EQ(status.MPI_ERROR, kUntouched);
    if (form == 5 || form == 6) {
      MPI_Recv(in.data(), 5, MPI_INT, left(), form, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    if (form == 7 || form == 8) {
      status = marked();
      MPI_Mrecv(in.data(), 5, MPI_INT, &message, &status);
      CHECK_STATUS(status, left(), form, MPI_INT, 3);
      CHECK_EQ(status.MPI_ERROR, kUntouched);
    }
    in.resize(3);
    CHECK_EQ(in, out);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    MPI_Barrier(MPI_COMM_WORLD);
  }
}

TEST_CASE(sendrecv_does_not_touch_the_error_field) {
  int out = comm_rank(), in = -1;
  MPI_Status status = marked();
  MPI_Sendrecv(&out, 1, MPI_INT, right(), 1, &in, 1, MPI_INT, MPI_ANY_SOURCE, 1, MPI_COMM_WORLD,
               &status);
  CHECK_STATUS(status, left(), 1, MPI_INT, 1);
  CHECK_EQ(status.MPI_ERROR, kUntouched);
  status = marked();
  MPI_Sendrecv_replace(&out, 1, MPI_INT, right(), 2, left(), MPI_ANY_TAG, MPI_COMM_WORLD, &status);
  CHECK_STATUS(status, left(), 2, MPI_INT, 1);
  CHECK_EQ(status.MPI_ERROR, kUntouched);
}

TEST_CASE(status_ignore_everywhere) {
  for (int form = 0; form < 8; ++form) {
    const std::vector<int> out = numbers(4, form);
    std::vector<int> in(4);
    MPI_Request requests[2] = {MPI_REQUEST_NULL, start(out, form)};
    int flag = 0, index = 0, indices[2];
    if (form) MPI_Irecv(in.data(), 4, MPI_INT, left(), form, MPI_COMM_WORLD, &requests[0]);
    switch (form) {
      case 0:
        MPI_Recv(in.data(), 4, MPI_INT, left(), form, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        break;
      case 1: MPI_Wait(&requests[0], MPI_STATUS_IGNORE); break;
      case 2:
        while (!flag) MPI_Test(&requests[0], &flag, MPI_STATUS_IGNORE);
        break;
      case 3: MPI_Waitall(2, requests, MPI_STATUSES_IGNORE); break;
      case 4:
        while (!flag) MPI_Testall(2, requests, &flag, MPI_STATUSES_IGNORE);
        break;
      case 5:
        MPI_Waitany(2, requests, &index, MPI_STATUS_IGNORE);
        MPI_Waitany(2, requests, &index, MPI_STATUS_IGNORE);
        break;
      case 6:
        for (int done = 0; done < 2; done += flag) {
          MPI_Testany(2, requests, &index, &flag, MPI_STATUS_IGNORE);
        }
        break;
      default:
        for (int done = 0; done < 2; done += index) {
          MPI_Waitsome(2, requests, &index, indices, MPI_STATUSES_IGNORE);
        }
    }
    MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
    CHECK_EQ(in, out);
  }
}

TEST_CASE(counts_of_parts_of_a_type) {
  MPI_Datatype pair, triple;
  MPI_Type_contiguous(2, MPI_INT, &pair);
  const int lengths[2] = {1, 2};
  const MPI_Aint places[2] = {0, 8};
  const MPI_Datatype types[2] = {MPI_INT, MPI_INT};
  MPI_Type_create_struct(2, lengths, places, types, &triple);
  MPI_Type_commit(&pair);
  MPI_Type_commit(&triple);
  for (int size = 0; size < 12; ++size) {
    for (const bool pending : {false, true}) {
      const std::vector<int> out = numbers(size, size);
      std::vector<int> in(40);
      MPI_Request send, receive;
      MPI_Status pairs, triples;
      if (pending) {
        MPI_Irecv(in.data(), 10, pair, left(), 1, MPI_COMM_WORLD, &receive);
        send = start(out, 1);
        MPI_Wait(&receive, &pairs);
      } else {
        send = start(out, 1);
        MPI_Recv(in.data(), 10, pair, left(), 1, MPI_COMM_WORLD, &pairs);
      }
      in.resize(static_cast<std::size_t>(size));
      CHECK_EQ(in, out);
      MPI_Wait(&send, MPI_STATUS_IGNORE);
      CHECK_EQ(count(pairs, pair), size % 2 ? MPI_UNDEFINED : size / 2);
      CHECK_EQ(elements(pairs, pair), size);
      in.assign(40, -1);
      send = start(out, 2);
      MPI_Recv(in.data(), 10, triple, MPI_ANY_SOURCE, 2, MPI_COMM_WORLD, &triples);
      MPI_Wait(&send, MPI_STATUS_IGNORE);
      CHECK_EQ(count(triples, triple), size % 3 ? MPI_UNDEFINED : size / 3);
      CHECK_EQ(elements(triples, triple), size);
      MPI_Count wide = -1;
      MPI_Get_elements_x(&triples, triple, &wide);
      CHECK_EQ(wide, size);
      for (int i = 0; i < size; ++i) CHECK_EQ(in[i / 3 * 4 + (i % 3 ? i % 3 + 1 : 0)], out[i]);
    }
  }
  MPI_Type_free(&pair);
  MPI_Type_free(&triple);
}

TEST_CASE(bytes_that_are_no_whole_number_of_ints) {
  for (int size = 0; size < 9; ++size) {
    const char out[9] = "abcdefgh";
    char in[9] = "";
    MPI_Request send;
    MPI_Status status;
    MPI_Isend(out, size, MPI_BYTE, right(), 1, MPI_COMM_WORLD, &send);
    MPI_Recv(in, 9, MPI_BYTE, left(), 1, MPI_COMM_WORLD, &status);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    CHECK_EQ(count(status, MPI_BYTE), size);
    CHECK_EQ(count(status, MPI_INT), size % 4 ? MPI_UNDEFINED : size / 4);
    CHECK(std::memcmp(in, out, static_cast<std::size_t>(size)) == 0);
  }
}

TEST_CASE(fewer_than_there_is_room_for) {
  for (int size = 0; size < 10; ++size) {
    const std::vector<int> out = numbers(size, size);
    std::vector<int> in(20, -7), expected = out;
    expected.resize(20, -7);
    MPI_Request receive;
    MPI_Status status;
    MPI_Irecv(in.data(), 20, MPI_INT, MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, &receive);
    MPI_Request send = start(out, 1);
    MPI_Wait(&receive, &status);
    CHECK_STATUS(status, left(), 1, MPI_INT, size);
    CHECK_EQ(in, expected);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    MPI_Barrier(MPI_COMM_WORLD);
  }
}

TEST_CASE(statuses_of_sends_are_not_cancelled) {
  for (int i = 0; i < 10; ++i) {
    const std::vector<int> out = numbers(i % 2 ? kLarge : 3, i);
    std::vector<int> in(out.size());
    MPI_Request send = start(out, 1);
    MPI_Recv(in.data(), kLarge, MPI_INT, left(), 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Status status;
    int cancelled = -1;
    MPI_Wait(&send, &status);
    MPI_Test_cancelled(&status, &cancelled);
    CHECK_EQ(cancelled, 0);
  }
}

TEST_CASE(statuses_can_be_copied_set_and_given_to_fortran) {
  const std::vector<int> out = numbers(6, 1);
  std::vector<int> in(6);
  MPI_Request send = start(out, 11);
  MPI_Status status, copy;
  MPI_Recv(in.data(), 6, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
  MPI_Wait(&send, MPI_STATUS_IGNORE);
  MPI_Fint fortran[sizeof(MPI_Status) / sizeof(MPI_Fint) + 4];
  MPI_Status_c2f(&status, fortran);
  MPI_Status_f2c(fortran, &copy);
  CHECK_STATUS(copy, left(), 11, MPI_INT, 6);
  MPI_Status_set_elements(&copy, MPI_INT, 99);
  MPI_Status_set_cancelled(&copy, 1);
  int cancelled = 0;
  MPI_Test_cancelled(&copy, &cancelled);
  CHECK_EQ(cancelled, 1);
  CHECK_EQ(count(copy, MPI_INT), 99);
  CHECK_STATUS(status, left(), 11, MPI_INT, 6);
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
