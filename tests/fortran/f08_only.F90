! What only mpi_f08 has: no ierror argument, handles that are types, keyword arguments.
module f08_only
  use support
  use mpi_f08
  implicit none
  integer, asynchronous :: f08_received(2)

contains

  subroutine check_f08_only()
    type(MPI_Comm) :: copy
    type(MPI_Request) :: requests(2), persistent(1)
    type(MPI_Status) :: status, statuses(2)
    logical :: flag
    integer :: value, index, outcount, indices(2), buffer(2)

    call MPI_Comm_dup(comm, newcomm=copy)
    call check(copy /= comm, 'handles compare')
    call check(copy%MPI_VAL /= comm%MPI_VAL, 'handles have a number')
    call MPI_Irecv(f08_received(1), 1, MPI_INTEGER, left, 1, copy, requests(1))
    call MPI_Isend(rank, 1, MPI_INTEGER, right, 1, copy, requests(2))
    call MPI_Waitall(2, requests, statuses)
    call check(f08_received(1) == left .and. statuses(1)%MPI_SOURCE == left, 'no ierror: Waitall')

    call MPI_Recv_init(buf=f08_received(2), count=1, datatype=MPI_INTEGER, source=MPI_ANY_SOURCE, &
                       tag=2, comm=copy, request=persistent(1))
    call MPI_Start(persistent(1))
    call MPI_Send(rank, 1, MPI_INTEGER, right, 2, copy)
    call MPI_Wait(persistent(1), status)
    call check(f08_received(2) == left .and. status%MPI_TAG == 2, 'no ierror: persistent')
    call MPI_Startall(1, persistent)
    call MPI_Send(rank + 1, 1, MPI_INTEGER, right, 2, copy)
    flag = .false.
    do while (.not. flag)
      call MPI_Test(persistent(1), flag, MPI_STATUS_IGNORE)
    end do
    call check(f08_received(2) == left + 1, 'no ierror: Test')
    call MPI_Request_free(persistent(1))

    requests = MPI_REQUEST_NULL
    call MPI_Waitany(2, requests, index, MPI_STATUS_IGNORE)
    call check(index == MPI_UNDEFINED, 'no ierror: Waitany')
    call MPI_Testany(2, requests, index, flag, status)
    call check(flag, 'no ierror: Testany')
    call MPI_Waitsome(2, requests, outcount, indices, MPI_STATUSES_IGNORE)
    call check(outcount == MPI_UNDEFINED, 'no ierror: Waitsome')
    call MPI_Testsome(2, requests, outcount, indices, statuses)
    call check(outcount == MPI_UNDEFINED, 'no ierror: Testsome')
    call MPI_Testall(2, requests, flag, MPI_STATUSES_IGNORE)
    call check(flag, 'no ierror: Testall')

    call MPI_Sendrecv(rank, 1, MPI_INTEGER, right, 3, value, 1, MPI_INTEGER, left, 3, copy, status)
    call check(value == left .and. status%MPI_SOURCE == left, 'no ierror: Sendrecv')
    call MPI_Send([rank, -rank], 2, MPI_INTEGER, right, 4, copy)
    call MPI_Probe(left, MPI_ANY_TAG, copy, status)
    call MPI_Get_count(status, MPI_INTEGER, value)
    call check(value == 2, 'no ierror: Probe')
    call MPI_Recv(buffer, 2, MPI_INTEGER, left, (status%MPI_TAG), copy, status)
    call check(all(buffer == [left, -left]), 'no ierror: Recv')
    call MPI_Allreduce(MPI_IN_PLACE, value, 1, MPI_INTEGER, MPI_SUM, copy)
    call check(value == 2 * ranks, 'no ierror: Allreduce')
    call MPI_Ibarrier(copy, requests(1))
    call MPI_Wait(requests(1), MPI_STATUS_IGNORE)
    call MPI_Comm_free(copy)
    call check(copy == MPI_COMM_NULL, 'no ierror: Comm_free')
  end subroutine
end module
