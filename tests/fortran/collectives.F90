! Collectives, blocking and not, with MPI_IN_PLACE and an operation of the program's own.
module collectives
  use support
#include "interface.inc"
  integer, parameter :: most = 16
  integer :: co_in(most), co_out(most), co_more(most), co_bcast, co_sum, co_scan
  double precision :: co_double(2)

contains

  subroutine check_collectives()
    call blocking()
    call in_place()
    call own_operation()
    call non_blocking()
    call non_blocking_in_place()
    call among_messages()
  end subroutine

  subroutine blocking()
    integer :: i, value, counts(ranks), offsets(ranks)
    call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')
    value = merge(77, 0, rank == ranks - 1)
    call MPI_Bcast(value, 1, MPI_INTEGER, ranks - 1, comm, ierr); call ok('MPI_Bcast')
    call check(value == 77, 'MPI_Bcast')
    call MPI_Reduce(rank + 1, value, 1, MPI_INTEGER, MPI_SUM, 0, comm, ierr); call ok('MPI_Reduce')
    if (rank == 0) call check(value == ranks * (ranks + 1) / 2, 'MPI_Reduce')
    call MPI_Allreduce(rank, value, 1, MPI_INTEGER, MPI_MAX, comm, ierr); call ok('MPI_Allreduce')
    call check(value == ranks - 1, 'MPI_Allreduce')
    call MPI_Allgather(3 * rank, 1, MPI_INTEGER, co_out, 1, MPI_INTEGER, comm, ierr)
    call ok('MPI_Allgather')
    call check(all(co_out(1:ranks) == [(3 * i, i = 0, ranks - 1)]), 'MPI_Allgather')
    call MPI_Gather(rank, 1, MPI_INTEGER, co_out, 1, MPI_INTEGER, 0, comm, ierr)
    call ok('MPI_Gather')
    if (rank == 0) call check(all(co_out(1:ranks) == [(i, i = 0, ranks - 1)]), 'MPI_Gather')
    co_in = [(5 * i, i = 0, most - 1)]
    call MPI_Scatter(co_in, 1, MPI_INTEGER, value, 1, MPI_INTEGER, 0, comm, ierr)
    call ok('MPI_Scatter')
    call check(value == 5 * rank, 'MPI_Scatter')
    co_in(1:ranks) = [(10 * rank + i, i = 0, ranks - 1)]
    call MPI_Alltoall(co_in, 1, MPI_INTEGER, co_out, 1, MPI_INTEGER, comm, ierr)
    call ok('MPI_Alltoall')
    call check(all(co_out(1:ranks) == [(10 * i + rank, i = 0, ranks - 1)]), 'MPI_Alltoall')
    counts = [(i, i = 1, ranks)]
    offsets = [(i * (i - 1) / 2, i = 1, ranks)]
    co_in = rank
    call MPI_Gatherv(co_in, rank + 1, MPI_INTEGER, co_out, counts, offsets, MPI_INTEGER, 0, comm, ierr)
    call ok('MPI_Gatherv')
    if (rank == 0) call check(co_out(offsets(ranks) + 1) == ranks - 1, 'MPI_Gatherv')
    call MPI_Scan(rank, value, 1, MPI_INTEGER, MPI_SUM, comm, ierr); call ok('MPI_Scan')
    call check(value == rank * (rank + 1) / 2, 'MPI_Scan')
    value = 0
    call MPI_Exscan(rank + 1, value, 1, MPI_INTEGER, MPI_SUM, comm, ierr); call ok('MPI_Exscan')
    if (rank > 0) call check(value == rank * (rank + 1) / 2, 'MPI_Exscan')
    co_in = 1
    call MPI_Reduce_scatter_block(co_in, value, 1, MPI_INTEGER, MPI_SUM, comm, ierr)
    call ok('MPI_Reduce_scatter_block')
    call check(value == ranks, 'MPI_Reduce_scatter_block')
  end subroutine

  subroutine in_place()
    integer :: i, value
    value = rank
    call MPI_Allreduce(MPI_IN_PLACE, value, 1, MPI_INTEGER, MPI_SUM, comm, ierr)
    call ok('MPI_Allreduce')
    call check(value == ranks * (ranks - 1) / 2, 'MPI_Allreduce with MPI_IN_PLACE')
    value = rank
    if (rank == 0) then
      call MPI_Reduce(MPI_IN_PLACE, value, 1, MPI_INTEGER, MPI_SUM, 0, comm, ierr)
      call check(value == ranks * (ranks - 1) / 2, 'MPI_Reduce with MPI_IN_PLACE')
    else
      call MPI_Reduce(value, value, 1, MPI_INTEGER, MPI_SUM, 0, comm, ierr)
    end if
    call ok('MPI_Reduce')
    co_out = -1
    co_out(rank + 1) = rank
    call MPI_Allgather(MPI_IN_PLACE, 0, MPI_INTEGER, co_out, 1, MPI_INTEGER, comm, ierr)
    call ok('MPI_Allgather')
    call check(all(co_out(1:ranks) == [(i, i = 0, ranks - 1)]), 'MPI_Allgather with MPI_IN_PLACE')
    co_out = -1
    if (rank == 0) then
      co_out(1) = 0
      call MPI_Gather(MPI_IN_PLACE, 1, MPI_INTEGER, co_out, 1, MPI_INTEGER, 0, comm, ierr)
      call check(all(co_out(1:ranks) == [(i, i = 0, ranks - 1)]), 'MPI_Gather with MPI_IN_PLACE')
    else
      call MPI_Gather(rank, 1, MPI_INTEGER, co_out, 1, MPI_INTEGER, 0, comm, ierr)
    end if
    call ok('MPI_Gather')
    value = rank
    co_in(1:ranks) = [(i + 30, i = 0, ranks - 1)]
    if (rank == 0) then
      call MPI_Scatter(co_in, 1, MPI_INTEGER, MPI_IN_PLACE, 1, MPI_INTEGER, 0, comm, ierr)
    else
      call MPI_Scatter(co_in, 1, MPI_INTEGER, value, 1, MPI_INTEGER, 0, comm, ierr)
      call check(value == rank + 30, 'MPI_Scatter with MPI_IN_PLACE')
    end if
    call ok('MPI_Scatter')
    co_out(1:ranks) = [(10 * rank + i, i = 0, ranks - 1)]
    call MPI_Alltoall(MPI_IN_PLACE, 0, MPI_INTEGER, co_out, 1, MPI_INTEGER, comm, ierr)
    call ok('MPI_Alltoall')
    call check(all(co_out(1:ranks) == [(10 * i + rank, i = 0, ranks - 1)]), 'Alltoall in place')
    value = 1
    call MPI_Scan(MPI_IN_PLACE, value, 1, MPI_INTEGER, MPI_SUM, comm, ierr); call ok('MPI_Scan')
    call check(value == rank + 1, 'MPI_Scan with MPI_IN_PLACE')
  end subroutine

  ! The larger absolute value, and whose it was.
#if defined(USE_MPI_F08)
  subroutine larger(in, inout, length, type)
    use, intrinsic :: iso_c_binding, only: c_ptr, c_f_pointer
    type(c_ptr), value :: in, inout
    integer :: length
    type(MPI_Datatype) :: type
    double precision, pointer :: a(:), b(:)
    if (type /= MPI_DOUBLE_PRECISION) call check(.false., 'own operation: type')
    call c_f_pointer(in, a, [length])
    call c_f_pointer(inout, b, [length])
    if (abs(a(1)) > abs(b(1))) b = a
  end subroutine
#else
  subroutine larger(a, b, length, type)
    integer :: length, type
    double precision :: a(length), b(length)
    if (type /= MPI_DOUBLE_PRECISION) call check(.false., 'own operation: type')
    if (abs(a(1)) > abs(b(1))) b = a
  end subroutine
#endif

  subroutine own_operation()
    T_OP :: operation
    T_REQUEST :: request
    double precision :: mine(2)
    call MPI_Op_create(larger, .true., operation, ierr); call ok('MPI_Op_create')
    mine = [-dble(rank), dble(rank)]
    call MPI_Allreduce(mine, co_double, 2, MPI_DOUBLE_PRECISION, operation, comm, ierr)
    call ok('MPI_Allreduce')
    call check(all(co_double == [-dble(ranks - 1), dble(ranks - 1)]), 'own operation')
    co_double = mine
    call MPI_Iallreduce(MPI_IN_PLACE, co_double, 2, MPI_DOUBLE_PRECISION, operation, comm, &
                        request, ierr)
    call ok('MPI_Iallreduce')
    call MPI_Wait(request, MPI_STATUS_IGNORE, ierr); call ok('MPI_Wait')
    call check(all(co_double == [-dble(ranks - 1), dble(ranks - 1)]), 'own operation, later')
    call MPI_Op_free(operation, ierr); call ok('MPI_Op_free')
  end subroutine

  subroutine one(request, what)
    T_REQUEST, intent(inout) :: request
    character(*), intent(in) :: what
    logical :: flag
    call ok(what)
    flag = .false.
    do while (.not. flag)
      call MPI_Test(request, flag, MPI_STATUS_IGNORE, ierr)
      if (ierr /= MPI_SUCCESS) call ok('MPI_Test')
    end do
    call check(request == MPI_REQUEST_NULL, what // ': a completed request is null')
  end subroutine

  subroutine non_blocking()
    T_REQUEST :: request, requests(5)
    T_STATUSES(5) :: statuses
    integer :: i
    call MPI_Ibarrier(comm, request, ierr); call one(request, 'MPI_Ibarrier')
    co_in = [(10 * rank + i, i = 0, most - 1)]
    call MPI_Ialltoall(co_in, 1, MPI_INTEGER, co_out, 1, MPI_INTEGER, comm, request, ierr)
    call one(request, 'MPI_Ialltoall')
    call check(all(co_out(1:ranks) == [(10 * i + rank, i = 0, ranks - 1)]), 'MPI_Ialltoall')
    call MPI_Iallgather(co_in, 1, MPI_INTEGER, co_out, 1, MPI_INTEGER, comm, request, ierr)
    call one(request, 'MPI_Iallgather')
    call check(all(co_out(1:ranks) == [(10 * i, i = 0, ranks - 1)]), 'MPI_Iallgather')
    call MPI_Igather(co_in(2), 1, MPI_INTEGER, co_out, 1, MPI_INTEGER, 0, comm, request, ierr)
    call one(request, 'MPI_Igather')
    if (rank == 0) call check(all(co_out(1:ranks) == [(10 * i + 1, i = 0, ranks - 1)]), 'MPI_Igather')
    call MPI_Iscatter(co_in, 1, MPI_INTEGER, co_out, 1, MPI_INTEGER, 0, comm, request, ierr)
    call one(request, 'MPI_Iscatter')
    call check(co_out(1) == rank, 'MPI_Iscatter')
    call MPI_Iexscan(co_in, co_out, 1, MPI_INTEGER, MPI_SUM, comm, request, ierr)
    call one(request, 'MPI_Iexscan')
    if (rank > 0) call check(co_out(1) == 5 * rank * (rank - 1), 'MPI_Iexscan')

    ! Several at a time, completed together.
    co_bcast = merge(99, 0, rank == 0)
    call MPI_Ibarrier(comm, requests(1), ierr); call ok('MPI_Ibarrier')
    call MPI_Ibcast(co_bcast, 1, MPI_INTEGER, 0, comm, requests(2), ierr); call ok('MPI_Ibcast')
    call MPI_Iallreduce(co_in(2), co_sum, 1, MPI_INTEGER, MPI_SUM, comm, requests(3), ierr)
    call ok('MPI_Iallreduce')
    call MPI_Iscan(co_in(2), co_scan, 1, MPI_INTEGER, MPI_SUM, comm, requests(4), ierr)
    call ok('MPI_Iscan')
    call MPI_Ireduce(co_in(2), co_out, 1, MPI_INTEGER, MPI_MAX, 0, comm, requests(5), ierr)
    call ok('MPI_Ireduce')
    call MPI_Waitall(5, requests, statuses, ierr); call ok('MPI_Waitall')
    call check(co_bcast == 99, 'MPI_Ibcast')
    call check(co_sum == 5 * ranks * (ranks - 1) + ranks, 'MPI_Iallreduce')
    call check(co_scan == 5 * rank * (rank + 1) + rank + 1, 'MPI_Iscan')
    if (rank == 0) call check(co_out(1) == 10 * (ranks - 1) + 1, 'MPI_Ireduce')
    do i = 1, 5
      call check(requests(i) == MPI_REQUEST_NULL, 'non-blocking collectives: null in the end')
    end do
  end subroutine

  subroutine non_blocking_in_place()
    T_REQUEST :: request
    integer :: i
    co_out = -1
    co_out(rank + 1) = rank + 7
    call MPI_Iallgather(MPI_IN_PLACE, 0, MPI_INTEGER, co_out, 1, MPI_INTEGER, comm, request, ierr)
    call one(request, 'MPI_Iallgather')
    call check(all(co_out(1:ranks) == [(i + 7, i = 0, ranks - 1)]), 'MPI_Iallgather in place')
    co_sum = rank
    call MPI_Iallreduce(MPI_IN_PLACE, co_sum, 1, MPI_INTEGER, MPI_SUM, comm, request, ierr)
    call one(request, 'MPI_Iallreduce')
    call check(co_sum == ranks * (ranks - 1) / 2, 'MPI_Iallreduce in place')
  end subroutine

  ! Collectives, messages and null requests in one MPI_Waitany loop.
  subroutine among_messages()
    T_REQUEST :: requests(5)
    integer :: done, index
    call MPI_Irecv(co_more(1), 1, MPI_INTEGER, left, 301, comm, requests(1), ierr)
    call ok('MPI_Irecv')
    call MPI_Ibarrier(comm, requests(2), ierr); call ok('MPI_Ibarrier')
    requests(3) = MPI_REQUEST_NULL
    co_in(1) = rank
    call MPI_Isend(co_in, 1, MPI_INTEGER, right, 301, comm, requests(4), ierr); call ok('MPI_Isend')
    call MPI_Iallreduce(co_in, co_sum, 1, MPI_INTEGER, MPI_SUM, comm, requests(5), ierr)
    call ok('MPI_Iallreduce')
    do done = 1, 4
      call MPI_Waitany(5, requests, index, MPI_STATUS_IGNORE, ierr); call ok('MPI_Waitany')
      call check(index >= 1 .and. index <= 5 .and. index /= 3, 'MPI_Waitany: index')
      call check(requests(index) == MPI_REQUEST_NULL, 'MPI_Waitany: null in the end')
    end do
    call check(co_more(1) == left, 'a message among collectives')
    call check(co_sum == ranks * (ranks - 1) / 2, 'a collective among messages')
  end subroutine
end module
