/* A C program that uses nothing but an installed Cairn. Prints "epoch N" on rank 0. */
#include <mpi.h>
#include <stdio.h>

#include <cairn/cairn.h>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  int step = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);

  cairn_session* session = cairn_open(MPI_COMM_WORLD);
  if (cairn_protect(session, "step", &step, 1, CAIRN_INT32) != CAIRN_OK) {
    fprintf(stderr, "%s\n", cairn_last_error());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  cairn_restart(session);
  ++step;
  if (cairn_checkpoint(session) != CAIRN_OK) {
    fprintf(stderr, "%s\n", cairn_last_error());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  if (rank == 0) printf("step %d epoch %d\n", step, (int)cairn_epoch(session));
  cairn_close(session);
  MPI_Finalize();
  return 0;
}
