// The C half of mixed_languages.F90.
#include <mpi.h>

MPI_Fint start_receive_in_c(MPI_Fint* buffer, int source, int tag, MPI_Fint comm) {
  MPI_Request request;
  MPI_Irecv(buffer, 1, MPI_INTEGER, source, tag, MPI_Comm_f2c(comm), &request);
  return MPI_Request_c2f(request);
}

int wait_in_c(MPI_Fint* request, int* source, int* tag) {
  MPI_Request c_request = MPI_Request_f2c(*request);
  MPI_Status status;
  const int code = MPI_Wait(&c_request, &status);
  *request = MPI_Request_c2f(c_request);
  *source = status.MPI_SOURCE;
  *tag = status.MPI_TAG;
  return code;
}

void send_in_c(MPI_Fint value, int destination, int tag, MPI_Fint comm) {
  MPI_Send(&value, 1, MPI_INTEGER, destination, tag, MPI_Comm_f2c(comm));
}
