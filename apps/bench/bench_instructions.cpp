// What messages cost, in instructions: a plain MPI program for 1 rank, to be run under callgrind
// with and without LD_PRELOAD=libcairn.so.
//
//   mpirun -n 1 valgrind --tool=callgrind --dump-before='measured_*' bench_instructions
//
// Each case is a function measured_<name>, called with 64, 64 and 640 messages. What the third call
// takes more than the second is the price of 576 messages: the first one has made free lists grow,
// and what happens once per call cancels. The rank talks to itself, and every message is there
// before it is waited for, so nothing spins, and the numbers are the same in every run.
#include <mpi.h>

#include <array>
#include <cstddef>
#include <cstdio>

namespace {

constexpr std::ptrdiff_t window = 64;
std::array<double, window> sent{};
std::array<double, window> received{};

void post_receive(std::ptrdiff_t i, MPI_Request* request) {
  MPI_Irecv(&received[i], 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD, request);
}

}  // namespace

// C names, so that callgrind's options can name them whatever the compiler.
#define MEASURED extern "C" __attribute__((noinline)) void

// Send, Recv
MEASURED measured_send_recv(int messages) {
  for (int i = 0; i < messages; ++i) {
    MPI_Send(sent.data(), 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD);
    MPI_Recv(received.data(), 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
}

// Irecv, Send, Wait
MEASURED measured_irecv_send_wait(int messages) {
  for (int i = 0; i < messages; ++i) {
    MPI_Request request = MPI_REQUEST_NULL;
    post_receive(0, &request);
    MPI_Send(sent.data(), 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
  }
}

// 64 Irecv, 64 Isend, Waitall
MEASURED measured_window_waitall(int messages) {
  static std::array<MPI_Request, 2 * window> requests{};
  for (std::ptrdiff_t done = 0; done < messages; done += window) {
    for (std::ptrdiff_t i = 0; i < window; ++i) post_receive(i, &requests[i]);
    for (std::ptrdiff_t i = 0; i < window; ++i) {
      MPI_Isend(&sent[i], 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD, &requests[window + i]);
    }
    MPI_Waitall(2 * window, requests.data(), MPI_STATUSES_IGNORE);
  }
}

// Irecv, Isend, Test, Test, with statuses
MEASURED measured_isend_test(int messages) {
  for (int i = 0; i < messages; ++i) {
    std::array<MPI_Request, 2> requests{};
    post_receive(0, &requests[0]);
    MPI_Isend(sent.data(), 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD, &requests[1]);
    for (auto& request : requests) {
      MPI_Status status;
      int done = 0;
      MPI_Test(&request, &done, &status);
      if (done == 0) {
        std::fprintf(stderr, "bench_instructions: a message to itself is not there\n");
        MPI_Abort(MPI_COMM_WORLD, 1);
      }
    }
  }
}

// Startall and Waitall of 8 persistent receives and 8 persistent sends, which are made and freed
// once per call.
MEASURED measured_persistent(int messages) {
  constexpr std::ptrdiff_t pairs = 8;
  std::array<MPI_Request, 2 * pairs> requests{};
  for (std::ptrdiff_t i = 0; i < pairs; ++i) {
    MPI_Recv_init(&received[i], 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD, &requests[i]);
    MPI_Send_init(&sent[i], 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD, &requests[pairs + i]);
  }
  for (std::ptrdiff_t done = 0; done < messages; done += pairs) {
    MPI_Startall(2 * pairs, requests.data());
    MPI_Waitall(2 * pairs, requests.data(), MPI_STATUSES_IGNORE);
  }
  for (auto& request : requests) MPI_Request_free(&request);
}

// Sendrecv
MEASURED measured_sendrecv(int messages) {
  for (int i = 0; i < messages; ++i) {
    MPI_Sendrecv(sent.data(), 1, MPI_DOUBLE, 0, 0, received.data(), 1, MPI_DOUBLE, 0, 0,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
}

// Send, Probe and Recv of any source
MEASURED measured_probe_recv(int messages) {
  for (int i = 0; i < messages; ++i) {
    MPI_Status status;
    MPI_Send(sent.data(), 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD);
    MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    MPI_Recv(received.data(), 1, MPI_DOUBLE, status.MPI_SOURCE, status.MPI_TAG, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
  }
}

// Allreduce of one rank
MEASURED measured_allreduce(int calls) {
  for (int i = 0; i < calls; ++i) {
    MPI_Allreduce(sent.data(), received.data(), 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  }
}

// Ends what is counted for the call before it.
MEASURED measured_end() {}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  for (const auto measured :
       {measured_send_recv, measured_irecv_send_wait, measured_window_waitall, measured_isend_test,
        measured_persistent, measured_sendrecv, measured_probe_recv, measured_allreduce}) {
    for (const int messages : {64, 64, 640}) measured(messages);
  }
  measured_end();
  MPI_Finalize();
}
