! Communicators made in every way, with messages in each; attributes; intercommunicators.
module communicators
  use support
#include "interface.inc"
  integer :: pending_in

contains

  subroutine check_communicators()
    call duplicate()
    call split()
    call create()
    call cartesian()
    call intercommunicator()
    call attributes()
    call separate_contexts()
  end subroutine

  ! A message around the ring and a sum: the members of `new_comm` are `members` ranks.
  subroutine check_works(new_comm, members, what)
    T_COMM, intent(in) :: new_comm
    integer, intent(in) :: members
    character(*), intent(in) :: what
    T_STATUS :: status
    integer :: me, n, up, down, value, total
    call MPI_Comm_rank(new_comm, me, ierr); call ok('MPI_Comm_rank')
    call MPI_Comm_size(new_comm, n, ierr); call ok('MPI_Comm_size')
    call check(n == members, what // ': size')
    up = mod(me + 1, n)
    down = mod(me + n - 1, n)
    call MPI_Sendrecv(me, 1, MPI_INTEGER, up, 5, value, 1, MPI_INTEGER, down, 5, new_comm, &
                      status, ierr)
    call ok(what // ': MPI_Sendrecv')
    call check(value == down, what // ': data')
    call check_status(status, down, 5, MPI_INTEGER, 1, what)
    call MPI_Allreduce(1, total, 1, MPI_INTEGER, MPI_SUM, new_comm, ierr)
    call ok(what // ': MPI_Allreduce')
    call check(total == members, what // ': sum')
  end subroutine

  subroutine release(old)
    T_COMM, intent(inout) :: old
    call MPI_Comm_free(old, ierr); call ok('MPI_Comm_free')
    call check(old == MPI_COMM_NULL, 'MPI_Comm_free sets MPI_COMM_NULL')
  end subroutine

  subroutine duplicate()
    T_COMM :: copy, copy_of_copy, later
    T_REQUEST :: request
    integer :: result
    call MPI_Comm_dup(comm, copy, ierr); call ok('MPI_Comm_dup')
    call MPI_Comm_compare(comm, copy, result, ierr); call ok('MPI_Comm_compare')
    call check(result == MPI_CONGRUENT, 'MPI_Comm_dup is congruent')
    call check_works(copy, ranks, 'MPI_Comm_dup')
    call MPI_Comm_dup(copy, copy_of_copy, ierr); call ok('MPI_Comm_dup')
    call release(copy)
    call check_works(copy_of_copy, ranks, 'MPI_Comm_dup of a dup')
    call release(copy_of_copy)
    call MPI_Comm_idup(comm, later, request, ierr); call ok('MPI_Comm_idup')
    call MPI_Wait(request, MPI_STATUS_IGNORE, ierr); call ok('MPI_Wait')
    call check_works(later, ranks, 'MPI_Comm_idup')
    call release(later)
  end subroutine

  subroutine split()
    T_COMM :: part
    integer :: me
    call MPI_Comm_split(comm, mod(rank, 2), -rank, part, ierr); call ok('MPI_Comm_split')
    call check_works(part, ranks / 2, 'MPI_Comm_split')
    call MPI_Comm_rank(part, me, ierr); call ok('MPI_Comm_rank')
    call check(me == (ranks - 1 - rank) / 2, 'MPI_Comm_split orders by key')
    call release(part)
    call MPI_Comm_split(comm, merge(1, MPI_UNDEFINED, rank > 0), 0, part, ierr)
    call ok('MPI_Comm_split')
    if (rank == 0) then
      call check(part == MPI_COMM_NULL, 'MPI_Comm_split with MPI_UNDEFINED')
    else
      call check_works(part, ranks - 1, 'MPI_Comm_split without rank 0')
      call release(part)
    end if
    call MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, part, ierr)
    call ok('MPI_Comm_split_type')
    call check(part /= MPI_COMM_NULL, 'MPI_Comm_split_type')
    call release(part)
  end subroutine

  subroutine create()
    T_GROUP :: all, some
    T_COMM :: part
    integer :: i
    call MPI_Comm_group(comm, all, ierr); call ok('MPI_Comm_group')
    call MPI_Group_incl(all, ranks / 2, [(2 * i, i = 0, ranks / 2 - 1)], some, ierr)
    call ok('MPI_Group_incl')
    call MPI_Comm_create(comm, some, part, ierr); call ok('MPI_Comm_create')
    call check((part == MPI_COMM_NULL) .eqv. mod(rank, 2) == 1, 'MPI_Comm_create: members')
    if (part /= MPI_COMM_NULL) then
      call check_works(part, ranks / 2, 'MPI_Comm_create')
      call release(part)
      call MPI_Comm_create_group(comm, some, 3, part, ierr); call ok('MPI_Comm_create_group')
      call check_works(part, ranks / 2, 'MPI_Comm_create_group')
      call release(part)
    end if
    call MPI_Group_free(all, ierr); call ok('MPI_Group_free')
    call MPI_Group_free(some, ierr); call ok('MPI_Group_free')
  end subroutine

  subroutine cartesian()
    T_COMM :: grid, row
    integer :: dims(2), coordinates(2), source, destination, value, members
    logical :: periods(2), periods_out(2)
    dims = [2, ranks / 2]
    periods = [.true., .false.]
    call MPI_Cart_create(comm, 2, dims, periods, .false., grid, ierr); call ok('MPI_Cart_create')
    call check_works(grid, ranks, 'MPI_Cart_create')
    call MPI_Cart_get(grid, 2, dims, periods_out, coordinates, ierr); call ok('MPI_Cart_get')
    call check(all(dims == [2, ranks / 2]), 'MPI_Cart_get: dimensions')
    call check(all(periods_out .eqv. periods), 'MPI_Cart_get: periods')
    call check(coordinates(1) == rank / (ranks / 2), 'MPI_Cart_get: coordinates')
    call MPI_Cart_shift(grid, 1, 1, source, destination, ierr); call ok('MPI_Cart_shift')
    value = -1
    call MPI_Sendrecv(rank, 1, MPI_INTEGER, destination, 6, value, 1, MPI_INTEGER, source, 6, grid, &
                      MPI_STATUS_IGNORE, ierr)
    call ok('MPI_Sendrecv')
    call check(value == merge(-1, rank - 1, source == MPI_PROC_NULL), 'MPI_Cart_shift: data')
    call MPI_Cart_sub(grid, [.false., .true.], row, ierr); call ok('MPI_Cart_sub')
    members = ranks / 2
    call check_works(row, members, 'MPI_Cart_sub')
    call release(row)
    call release(grid)
  end subroutine

  ! Even ranks on one side, odd ones on the other.
  subroutine intercommunicator()
    T_COMM :: half, inter, merged
    T_STATUS :: status
    logical :: flag
    integer :: side, me, remote_size, value, root
    side = mod(rank, 2)
    call MPI_Comm_split(comm, side, rank, half, ierr); call ok('MPI_Comm_split')
    call MPI_Intercomm_create(half, 0, comm, 1 - side, 9, inter, ierr)
    call ok('MPI_Intercomm_create')
    call MPI_Comm_test_inter(inter, flag, ierr); call ok('MPI_Comm_test_inter')
    call check(flag, 'MPI_Comm_test_inter')
    call MPI_Comm_remote_size(inter, remote_size, ierr); call ok('MPI_Comm_remote_size')
    call check(remote_size == ranks / 2, 'MPI_Comm_remote_size')
    call MPI_Comm_rank(inter, me, ierr); call ok('MPI_Comm_rank')
    call check(me == rank / 2, 'rank in an intercommunicator')
    if (side == 0) then
      call MPI_Send(rank, 1, MPI_INTEGER, me, 10, inter, ierr); call ok('MPI_Send')
      call MPI_Recv(value, 1, MPI_INTEGER, MPI_ANY_SOURCE, 11, inter, status, ierr)
    else
      call MPI_Recv(value, 1, MPI_INTEGER, MPI_ANY_SOURCE, 10, inter, status, ierr)
      call check(value == partner, 'between groups: data')
      call MPI_Send(rank, 1, MPI_INTEGER, me, 11, inter, ierr)
    end if
    call ok('message between groups')
    call check_status(status, me, 10 + 1 - side, MPI_INTEGER, 1, 'between groups')
    call check(value == partner, 'between groups: data')

    value = 4321 * (1 - side)
    root = merge(merge(MPI_ROOT, MPI_PROC_NULL, me == 0), 0, side == 0)
    call MPI_Bcast(value, 1, MPI_INTEGER, root, inter, ierr); call ok('MPI_Bcast')
    call check(value == 4321, 'MPI_Bcast between groups')
    call MPI_Intercomm_merge(inter, side == 1, merged, ierr); call ok('MPI_Intercomm_merge')
    call check_works(merged, ranks, 'MPI_Intercomm_merge')
    call release(merged)
    call release(inter)
    call release(half)
  end subroutine

  ! Attributes go along with MPI_Comm_dup when the keyval says so.
  subroutine attributes()
    T_COMM :: copy, copy_of_copy
    integer :: copied, left_behind
    integer(kind=MPI_ADDRESS_KIND) :: value
    logical :: flag
    call MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, value, flag, ierr)
    call ok('MPI_Comm_get_attr')
    call check(flag .and. value >= 32767, 'MPI_TAG_UB')
    call MPI_Comm_create_keyval(MPI_COMM_DUP_FN, MPI_COMM_NULL_DELETE_FN, copied, &
                                0_MPI_ADDRESS_KIND, ierr)
    call ok('MPI_Comm_create_keyval')
    call MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, left_behind, &
                                0_MPI_ADDRESS_KIND, ierr)
    call ok('MPI_Comm_create_keyval')
    call MPI_Comm_dup(comm, copy, ierr); call ok('MPI_Comm_dup')
    call MPI_Comm_set_attr(copy, copied, 17_MPI_ADDRESS_KIND, ierr); call ok('MPI_Comm_set_attr')
    call MPI_Comm_set_attr(copy, left_behind, 18_MPI_ADDRESS_KIND, ierr)
    call ok('MPI_Comm_set_attr')
    call MPI_Comm_dup(copy, copy_of_copy, ierr); call ok('MPI_Comm_dup')
    call MPI_Comm_get_attr(copy_of_copy, copied, value, flag, ierr); call ok('MPI_Comm_get_attr')
    call check(flag, 'an attribute is copied')
    call check(value == 17, 'an attribute that is copied: value')
    call MPI_Comm_get_attr(copy_of_copy, left_behind, value, flag, ierr)
    call ok('MPI_Comm_get_attr')
    call check(.not. flag, 'an attribute that is not copied')
    call release(copy_of_copy)
    call release(copy)
    call MPI_Comm_free_keyval(copied, ierr); call ok('MPI_Comm_free_keyval')
    call MPI_Comm_free_keyval(left_behind, ierr); call ok('MPI_Comm_free_keyval')
  end subroutine

  ! Messages never cross from one communicator to another; a freed one finishes what is under way.
  subroutine separate_contexts()
    T_COMM :: copy
    T_REQUEST :: request
    integer :: here, there
    call MPI_Comm_dup(comm, copy, ierr); call ok('MPI_Comm_dup')
    call MPI_Send(rank, 1, MPI_INTEGER, right, 12, copy, ierr); call ok('MPI_Send')
    call MPI_Send(rank + 100, 1, MPI_INTEGER, right, 12, comm, ierr); call ok('MPI_Send')
    call MPI_Recv(here, 1, MPI_INTEGER, MPI_ANY_SOURCE, 12, comm, MPI_STATUS_IGNORE, ierr)
    call ok('MPI_Recv')
    call MPI_Recv(there, 1, MPI_INTEGER, MPI_ANY_SOURCE, 12, copy, MPI_STATUS_IGNORE, ierr)
    call ok('MPI_Recv')
    call check(here == left + 100, 'a message stays in its communicator')
    call check(there == left, 'a message stays in its copy of the communicator')
    call MPI_Irecv(pending_in, 1, MPI_INTEGER, left, 13, copy, request, ierr); call ok('MPI_Irecv')
    call MPI_Send(rank, 1, MPI_INTEGER, right, 13, copy, ierr); call ok('MPI_Send')
    call release(copy)
    call MPI_Wait(request, MPI_STATUS_IGNORE, ierr); call ok('MPI_Wait')
    call check(pending_in == left, 'a pending receive in a freed communicator')
  end subroutine
end module
