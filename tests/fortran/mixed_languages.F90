! Requests, communicators and statuses that go from Fortran to C and back.
module mixed_languages
  use, intrinsic :: iso_c_binding, only: c_int
  use support
#include "interface.inc"
  integer(c_int), target :: mixed_received(2), mixed_sent

  interface  ! mixed_languages.c
    integer(c_int) function start_receive_in_c(buffer, source, tag, comm) bind(c)
      import :: c_int
      integer(c_int) :: buffer(*)
      integer(c_int), value :: source, tag, comm
    end function
    integer(c_int) function wait_in_c(request, source, tag) bind(c)
      import :: c_int
      integer(c_int) :: request, source, tag
    end function
    subroutine send_in_c(value, destination, tag, comm) bind(c)
      import :: c_int
      integer(c_int), value :: value, destination, tag, comm
    end subroutine
  end interface

#if defined(USE_MPI_F08)
#define NUMBER(handle) handle%MPI_VAL
#else
#define NUMBER(handle) handle
#endif

contains

  subroutine check_mixed_languages()
    T_REQUEST :: request
    T_STATUS :: status
    integer(c_int) :: source, tag

    ! Started in C, completed in Fortran.
    mixed_received = -1
    NUMBER(request) = start_receive_in_c(mixed_received, left, 401, NUMBER(comm))
    mixed_sent = 11 * rank
    call MPI_Send(mixed_sent, 1, MPI_INTEGER, right, 401, comm, ierr); call ok('MPI_Send')
    call MPI_Wait(request, status, ierr); call ok('MPI_Wait')
    call check_status(status, left, 401, MPI_INTEGER, 1, 'started in C')
    call check(mixed_received(1) == 11 * left, 'started in C: data')
    call check(request == MPI_REQUEST_NULL, 'started in C: null in the end')

    ! Started in Fortran, completed in C; sent in C.
    call MPI_Irecv(mixed_received(2), 1, MPI_INTEGER, MPI_ANY_SOURCE, 402, comm, request, ierr)
    call ok('MPI_Irecv')
    call send_in_c(12 * rank, right, 402, NUMBER(comm))
    call check(wait_in_c(NUMBER(request), source, tag) == 0, 'wait in C')
    call check(source == left .and. tag == 402, 'completed in C: status')
    call check(mixed_received(2) == 12 * left, 'completed in C: data')
    call check(request == MPI_REQUEST_NULL, 'completed in C: null in the end')

    ! Persistent: made in Fortran, started there, completed in C and in Fortran in turn.
    call MPI_Recv_init(mixed_received(1), 1, MPI_INTEGER, left, 403, comm, request, ierr)
    call ok('MPI_Recv_init')
    call MPI_Start(request, ierr); call ok('MPI_Start')
    call send_in_c(13 * rank, right, 403, NUMBER(comm))
    call check(wait_in_c(NUMBER(request), source, tag) == 0, 'wait in C')
    call check(mixed_received(1) == 13 * left, 'persistent, completed in C: data')
    call check(request /= MPI_REQUEST_NULL, 'persistent, completed in C: stays')
    call MPI_Start(request, ierr); call ok('MPI_Start')
    call send_in_c(14 * rank, right, 403, NUMBER(comm))
    call MPI_Wait(request, status, ierr); call ok('MPI_Wait')
    call check_status(status, left, 403, MPI_INTEGER, 1, 'persistent, in two languages')
    call check(mixed_received(1) == 14 * left, 'persistent, in two languages: data')
    call MPI_Request_free(request, ierr); call ok('MPI_Request_free')
  end subroutine
end module
