// One-sided communication and MPI-IO while point-to-point messages are on the way.
#include <cstdlib>

#include "check.hpp"

using namespace conformance;

namespace {

/// A receive pending and a few messages around the ring; `finish` completes the receive.
class Traffic {
 public:
  explicit Traffic(int mark) : mark_(mark) {
    MPI_Irecv(&in_, 1, MPI_INT, left(), 777, MPI_COMM_WORLD, &request_);
  }
  void talk() const {
    for (int i = 0; i < 6; ++i) {
      int token = i;
      MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), i, left(), i, MPI_COMM_WORLD,
                           MPI_STATUS_IGNORE);
      CHECK_EQ(token, i);
    }
  }
  void finish() {
    MPI_Send(&mark_, 1, MPI_INT, right(), 777, MPI_COMM_WORLD);
    MPI_Wait(&request_, MPI_STATUS_IGNORE);
    CHECK_EQ(in_, mark_);
  }

 private:
  int mark_, in_ = -1;
  MPI_Request request_ = MPI_REQUEST_NULL;
};

/// A file name that all ranks share and that goes away.
std::string file_name() {
  static char name[200] = "";
  if (comm_rank() == 0) {
    const char* folder = std::getenv("TMPDIR");
    std::snprintf(name, sizeof(name), "%s/conformance.%d", folder ? folder : "/tmp", getpid());
  }
  MPI_Bcast(name, sizeof(name), MPI_CHAR, 0, MPI_COMM_WORLD);
  return name;
}

MPI_File open_new(const std::string& name) {
  MPI_File file;
  const int error = MPI_File_open(MPI_COMM_WORLD, name.c_str(),
                                  MPI_MODE_CREATE | MPI_MODE_RDWR | MPI_MODE_DELETE_ON_CLOSE,
                                  MPI_INFO_NULL, &file);
  CHECK_EQ(error, MPI_SUCCESS);
  return file;
}

}  // namespace

TEST_CASE(put_and_get_between_fences) {
  std::vector<int> memory(8, -1);
  MPI_Win window;
  MPI_Win_create(memory.data(), 8 * sizeof(int), sizeof(int), MPI_INFO_NULL, MPI_COMM_WORLD,
                 &window);
  for (int round = 0; round < 10; ++round) {
    Traffic traffic(round);
    const int value = 10 * round + comm_rank();
    int got = -1;
    MPI_Win_fence(0, window);
    MPI_Put(&value, 1, MPI_INT, right(), 3, 1, MPI_INT, window);
    traffic.talk();
    MPI_Win_fence(0, window);
    CHECK_EQ(memory[3], 10 * round + left());
    MPI_Win_fence(0, window);
    MPI_Get(&got, 1, MPI_INT, right(), 3, 1, MPI_INT, window);
    MPI_Win_fence(0, window);
    CHECK_EQ(got, value);
    traffic.finish();
  }
  MPI_Win_free(&window);
}

TEST_CASE(accumulate_and_fetch) {
  int* counter = nullptr;
  MPI_Win window;
  MPI_Win_allocate(sizeof(int), sizeof(int), MPI_INFO_NULL, MPI_COMM_WORLD, &counter, &window);
  MPI_Win_lock(MPI_LOCK_EXCLUSIVE, comm_rank(), 0, window);
  *counter = 0;
  MPI_Win_unlock(comm_rank(), window);
  MPI_Barrier(MPI_COMM_WORLD);
  Traffic traffic(3);
  const int one = 1;
  for (int i = 0; i < 20; ++i) {
    int before = -1;
    MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, window);
    MPI_Fetch_and_op(&one, &before, MPI_INT, 0, 0, MPI_SUM, window);
    MPI_Win_unlock(0, window);
    CHECK(before >= i && before < 20 * comm_size());
    if (i % 4 == 0) traffic.talk();
  }
  MPI_Barrier(MPI_COMM_WORLD);
  int total = -1;
  MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, window);
  MPI_Get(&total, 1, MPI_INT, 0, 0, 1, MPI_INT, window);
  MPI_Win_unlock(0, window);
  CHECK_EQ(total, 20 * comm_size());
  traffic.finish();
  MPI_Win_free(&window);
}

TEST_CASE(write_and_read_all) {
  const std::string name = file_name();
  for (int round = 0; round < 3; ++round) {
    Traffic traffic(round);
    MPI_File file = open_new(name);
    constexpr int kInts = 2000;
    const std::vector<int> out = numbers(kInts, comm_rank() + round);
    std::vector<int> in(kInts);
    const MPI_Offset bytes = kInts * static_cast<MPI_Offset>(sizeof(int));
    MPI_Status status;
    MPI_File_set_view(file, comm_rank() * bytes, MPI_INT, MPI_INT, "native", MPI_INFO_NULL);
    MPI_File_write_all(file, out.data(), kInts, MPI_INT, &status);
    int count = -1;
    MPI_Get_count(&status, MPI_INT, &count);
    CHECK_EQ(count, kInts);
    traffic.talk();
    MPI_File_sync(file);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_File_sync(file);
    MPI_File_set_view(file, left() * bytes, MPI_INT, MPI_INT, "native", MPI_INFO_NULL);
    MPI_File_read_all(file, in.data(), kInts, MPI_INT, &status);
    MPI_Get_count(&status, MPI_INT, &count);
    CHECK_EQ(count, kInts);
    CHECK_EQ(in, numbers(kInts, left() + round));
    MPI_File_close(&file);
    traffic.finish();
  }
}

TEST_CASE(nonblocking_writes_among_other_requests) {
  const std::string name = file_name();
  MPI_File file = open_new(name);
  for (int round = 0; round < 5; ++round) {
    constexpr int kInts = 500;
    const MPI_Offset place =
        (round * comm_size() + comm_rank()) * static_cast<MPI_Offset>(kInts * sizeof(int));
    const std::vector<int> out = numbers(kInts, round + comm_rank());
    std::vector<int> in(kInts), back(kInts);
    MPI_Request requests[3];
    MPI_Irecv(in.data(), kInts, MPI_INT, left(), 1, MPI_COMM_WORLD, &requests[0]);
    MPI_File_iwrite_at(file, place, out.data(), kInts, MPI_INT, &requests[1]);
    MPI_Isend(out.data(), kInts, MPI_INT, right(), 1, MPI_COMM_WORLD, &requests[2]);
    MPI_Status statuses[3];
    if (round % 2) {
      MPI_Waitall(3, requests, statuses);
    } else {
      for (int i = 0; i < 3; ++i) MPI_Wait(&requests[i], &statuses[i]);
    }
    int count = -1;
    MPI_Get_count(&statuses[1], MPI_INT, &count);
    CHECK_EQ(count, kInts);
    CHECK_EQ(in, numbers(kInts, round + left()));
    MPI_File_iread_at(file, place, back.data(), kInts, MPI_INT, &requests[0]);
    MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
    CHECK_EQ(back, out);
  }
  MPI_File_close(&file);
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
