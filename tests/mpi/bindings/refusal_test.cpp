// What keeps an epoch from being taken is named (I7, B5); and the table of functions is true.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
    EXPECT_THAT(refusal(), HasSubstr("MPI_Isend"));
    MPI_Wait(&send, MPI_STATUS_IGNORE);
  }
  EXPECT_EQ(refusal(), "");
  for (int i = 0; i < 3; ++i) {
    MPI_Recv(&value, 1, MPI_INT, peer(), 18, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
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
