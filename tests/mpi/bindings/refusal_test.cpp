// What keeps an epoch from being taken is named (I7, B5); and the table of functions is true.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

#include "epoch.hpp"
#include "mpi_bindings/function_names.hpp"

namespace cairn::mpi {
namespace {

using testing::HasSubstr;

std::string refusal() { return layer->refusal().value_or(""); }

int peer() { return world_size() - 1 - world_rank(); }

TEST(Refusal, PendingReceiveIsNamed) {
  EXPECT_EQ(refusal(), "");
  int value = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Irecv(&value, 1, MPI_INT, peer(), 17, MPI_COMM_WORLD, &request);
  EXPECT_THAT(refusal(), HasSubstr("MPI_Irecv (peer " + std::to_string(peer()) +
                                   ", tag 17, communicator world)"));
  MPI_Send(&value, 1, MPI_INT, peer(), 17, MPI_COMM_WORLD);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  EXPECT_EQ(refusal(), "");
}

TEST(Refusal, PendingSendsAreSeenAlthoughTheirHandlesMayBeEqual) {
  int value = 0;
  MPI_Request sends[3];
  for (auto& send : sends) {
    MPI_Isend(&value, 1, MPI_INT, peer(), 18, MPI_COMM_WORLD, &send);
  }
  for (auto& send : sends) {
    EXPECT_THAT(refusal(), HasSubstr("MPI_Isend (peer " + std::to_string(peer()) +
                                     ", tag 18, communicator world)"));
    MPI_Wait(&send, MPI_STATUS_IGNORE);
  }
  EXPECT_EQ(refusal(), "");
  for (int i = 0; i < 3; ++i) {
    MPI_Recv(&value, 1, MPI_INT, peer(), 18, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
}

/// Small sends and MPI_PROC_NULL: Open MPI has one request for them all.
TEST(Refusal, CompleteRequestsAreCounted) {
  int value = 0;
  MPI_Message none = MPI_MESSAGE_NO_PROC;
  std::array<MPI_Request, 5> requests{};
  const auto begin = [&] {
    none = MPI_MESSAGE_NO_PROC;
    MPI_Isend(&value, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD, requests.data());
    MPI_Issend(&value, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD, &requests[1]);
    MPI_Irecv(&value, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD, &requests[2]);
    MPI_Imrecv(&value, 1, MPI_INT, &none, &requests[3]);
    MPI_Isend(&value, 1, MPI_INT, peer(), 19, MPI_COMM_WORLD, &requests[4]);
    EXPECT_EQ(layer->pending_requests(), 5U);
    EXPECT_TRUE(layer->refusal(ChannelLayer::none_may_pend, 4).has_value());
    EXPECT_FALSE(layer->refusal(ChannelLayer::none_may_pend, 5).has_value());
  };
  const auto end = [&] {
    EXPECT_EQ(refusal(), "");
    EXPECT_EQ(layer->pending_requests(), 0U);
    for (const MPI_Request request : requests) EXPECT_EQ(request, MPI_REQUEST_NULL);
    MPI_Recv(&value, 1, MPI_INT, peer(), 19, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  };
  begin();
  MPI_Waitall(5, requests.data(), MPI_STATUSES_IGNORE);
  end();

  begin();
  std::array<MPI_Status, 5> statuses{};
  MPI_Waitall(5, requests.data(), statuses.data());
  EXPECT_EQ(statuses[2].MPI_SOURCE, MPI_PROC_NULL);
  end();

  begin();
  int done = 0;
  MPI_Testall(5, requests.data(), &done, MPI_STATUSES_IGNORE);
  EXPECT_EQ(done, 1);
  end();

  begin();
  int place = 0;
  std::array<int, 5> places{};
  MPI_Request_free(requests.data());
  MPI_Test(&requests[1], &done, MPI_STATUS_IGNORE);
  MPI_Waitany(5, requests.data(), &place, MPI_STATUS_IGNORE);
  EXPECT_EQ(place, 2);
  MPI_Request_get_status(requests[3], &done, MPI_STATUS_IGNORE);  // leaves it
  EXPECT_EQ(layer->pending_requests(), 2U);
  MPI_Waitsome(5, requests.data(), &done, places.data(), MPI_STATUSES_IGNORE);
  EXPECT_EQ(done, 2);
  end();
}

TEST(Refusal, OpenWindow) {
  int memory = 0;
  MPI_Win window = MPI_WIN_NULL;
  MPI_Win_create(&memory, sizeof memory, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &window);
  EXPECT_THAT(refusal(), HasSubstr("RMA window"));
  MPI_Win_free(&window);
  EXPECT_EQ(refusal(), "");
}

TEST(Refusal, OpenFile) {
  const std::string name = "refusal_test." + std::to_string(world_rank());
  MPI_File file = MPI_FILE_NULL;
  MPI_File_open(MPI_COMM_SELF, name.c_str(),
                MPI_MODE_CREATE | MPI_MODE_RDWR | MPI_MODE_DELETE_ON_CLOSE, MPI_INFO_NULL, &file);
  EXPECT_THAT(refusal(), HasSubstr("MPI-IO file"));
  MPI_File_close(&file);
  EXPECT_EQ(refusal(), "");
}

TEST(Refusal, NamesAPendingCollective) {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  EXPECT_THAT(refusal(), HasSubstr("MPI_Ibarrier"));
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  EXPECT_EQ(refusal(), "");
}

TEST(Refusal, NamesAMatchedMessage) {
  int value = world_rank();
  MPI_Send(&value, 1, MPI_INT, peer(), 3, MPI_COMM_WORLD);
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Mprobe(peer(), 3, MPI_COMM_WORLD, &message, MPI_STATUS_IGNORE);
  EXPECT_THAT(refusal(), HasSubstr("MPI_Mprobe"));
  MPI_Mrecv(&value, 1, MPI_INT, &message, MPI_STATUS_IGNORE);
  EXPECT_EQ(value, peer());
  EXPECT_EQ(refusal(), "");
}

TEST(Refusal, ForgetsPersistentRequestsThatAreNotStarted) {
  int value = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Recv_init(&value, 1, MPI_INT, peer(), 4, MPI_COMM_WORLD, &request);
  EXPECT_EQ(refusal(), "");
  MPI_Start(&request);
  EXPECT_THAT(refusal(), HasSubstr("MPI_Recv_init"));
  MPI_Send(&value, 1, MPI_INT, peer(), 4, MPI_COMM_WORLD);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  EXPECT_EQ(refusal(), "");
  MPI_Request_free(&request);
}

TEST(FunctionTable, ListsEachFunctionOnceAndTheLibraryHasItUnderBothNames) {
  void* library = dlopen(LIBCAIRN, RTLD_LAZY | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  std::set<std::string> names;
  for (const std::string name : function_names()) {
    EXPECT_TRUE(names.insert(name).second) << name << " is listed twice";
    for (const std::string& symbol : {name, "P" + name}) {
      Dl_info where{};
      ASSERT_NE(dladdr(dlsym(library, symbol.c_str()), &where), 0) << symbol;
      EXPECT_THAT(where.dli_fname, HasSubstr("libcairn")) << symbol;
    }
  }
  EXPECT_GT(names.size(), 90u);
}

}  // namespace
}  // namespace cairn::mpi
