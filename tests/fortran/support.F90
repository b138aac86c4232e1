! What all checks share: the communicator to use, counting, and the end of a program that fails.
!
! Buffers of non-blocking calls are variables of modules throughout, so that the compiler must
! expect any call to change them.
module support
  use, intrinsic :: iso_fortran_env, only: error_unit, output_unit
#include "interface.inc"
  private
  public :: comm, rank, ranks, left, right, partner, ierr
  public :: use_communicator, ok, check, check_status, check_empty, source_of, tag_of, &
            count_of, report

  T_COMM :: comm       ! where checks talk; of an even number of ranks
  integer :: rank = -1, ranks = 0
  integer :: left, right, partner
  integer, parameter :: not_set = -4711
  integer :: ierr = not_set  ! for all MPI calls; ok() looks at it
  integer :: passed = 0

contains

  subroutine use_communicator(new_comm)
    T_COMM, intent(in) :: new_comm
    comm = new_comm
    call MPI_Comm_rank(comm, rank, ierr); call ok('MPI_Comm_rank')
    call MPI_Comm_size(comm, ranks, ierr); call ok('MPI_Comm_size')
    left = mod(rank + ranks - 1, ranks)
    right = mod(rank + 1, ranks)
    partner = ieor(rank, 1)
    call check(mod(ranks, 2) == 0, 'an even number of ranks')
  end subroutine

  ! The MPI call before must have set ierr, and to success.
  subroutine ok(call_name)
    character(*), intent(in) :: call_name
    call check(ierr /= not_set, call_name // ' sets ierror')
    call check(ierr == MPI_SUCCESS, call_name // ' succeeds')
    ierr = not_set
  end subroutine

  subroutine check(condition, what)
    logical, intent(in) :: condition
    character(*), intent(in) :: what
    integer :: world_rank, ignored
    double precision :: begin
    if (condition) then
      passed = passed + 1
      return
    end if
    call MPI_Comm_rank(MPI_COMM_WORLD, world_rank, ignored)
    write (error_unit, '(a, i0, a, i0, a, i0, 2a)') 'FAILED on rank ', world_rank, ' (', rank, &
      ' of ', ranks, ' in the communicator): ', what
    flush (error_unit)
    begin = MPI_Wtime()
    do while (MPI_Wtime() < begin + 0.2d0)  ! mpirun may lose what is printed just before it ends
    end do
    call MPI_Abort(MPI_COMM_WORLD, 1, ignored)
    error stop 1
  end subroutine

  ! A received message's status: where from, which tag, how many elements of which type.
  subroutine check_status(status, source, tag, type, count, what)
    T_STATUS, intent(in) :: status
    integer, intent(in) :: source, tag, count
    T_DATATYPE, intent(in) :: type
    character(*), intent(in) :: what
    call check(source_of(status) == source, what // ': source in status')
    call check(tag_of(status) == tag, what // ': tag in status')
    call check(count_of(status, type) == count, what // ': count in status')
  end subroutine

  ! The status of an operation on null or inactive requests.
  subroutine check_empty(status, what)
    T_STATUS, intent(in) :: status
    character(*), intent(in) :: what
    logical :: cancelled
    call check_status(status, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_INTEGER, 0, what // ' (empty)')
    call MPI_Test_cancelled(status, cancelled, ierr); call ok('MPI_Test_cancelled')
    call check(.not. cancelled, what // ': an empty status is not cancelled')
  end subroutine

#if defined(USE_MPI_F08)
#define FIELD(status, name) status%name
#else
#define FIELD(status, name) status(name)
#endif

  integer function source_of(status)
    T_STATUS, intent(in) :: status
    source_of = FIELD(status, MPI_SOURCE)
  end function

  integer function tag_of(status)
    T_STATUS, intent(in) :: status
    tag_of = FIELD(status, MPI_TAG)
  end function

  integer function count_of(status, type)
    T_STATUS, intent(in) :: status
    T_DATATYPE, intent(in) :: type
    call MPI_Get_count(status, type, count_of, ierr); call ok('MPI_Get_count')
  end function

  ! The one line of output: the checks of all ranks.
  subroutine report()
    integer :: total
    call MPI_Reduce(passed, total, 1, MPI_INTEGER, MPI_SUM, 0, MPI_COMM_WORLD, ierr)
    call MPI_Comm_rank(MPI_COMM_WORLD, rank, ierr)
    if (rank == 0) write (output_unit, '(a, i0, a)') 'result: ', total, ' cases passed'
    flush (output_unit)
  end subroutine
end module
