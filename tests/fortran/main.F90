! Checks of MPI as Fortran programs use it: a plain MPI program, for any even number of ranks.
!
! Prints "result: <n> cases passed"; the first check that fails ends it with status 1.
program main
  use support, only: use_communicator, comm, rank, ierr, ok, report
  use point_to_point, only: check_point_to_point
  use completion, only: check_completion
  use persistent, only: check_persistent
  use probing, only: check_probing
  use communicators, only: check_communicators
  use collectives, only: check_collectives
  use datatypes, only: check_datatypes
  use errors, only: check_errors
  use mixed_languages, only: check_mixed_languages
#if defined(USE_MPI_F08)
  use f08_only, only: check_f08_only
#endif
#include "interface.inc"
  T_COMM :: copy, reversed

  call MPI_Init(ierr); call ok('MPI_Init')
  call use_communicator(MPI_COMM_WORLD)
  call MPI_Comm_dup(MPI_COMM_WORLD, copy, ierr); call ok('MPI_Comm_dup')
  call MPI_Comm_split(MPI_COMM_WORLD, 0, -rank, reversed, ierr); call ok('MPI_Comm_split')
  call check_all()
  call use_communicator(copy)
  call check_all()
  call use_communicator(reversed)
  call check_all()
  call MPI_Comm_free(copy, ierr); call ok('MPI_Comm_free')
  call MPI_Comm_free(reversed, ierr); call ok('MPI_Comm_free')
  call report()
  call MPI_Finalize(ierr)

contains

  subroutine check_all()
    call apart(); call check_point_to_point()
    call apart(); call check_completion()
    call apart(); call check_persistent()
    call apart(); call check_probing()
    call apart(); call check_communicators()
    call apart(); call check_collectives()
    call apart(); call check_datatypes()
    call apart(); call check_errors()
    call apart(); call check_mixed_languages()
#if defined(USE_MPI_F08)
    call apart(); call check_f08_only()
#endif
  end subroutine

  ! Receives with wildcards must not see what a faster rank sends in the next part.
  subroutine apart()
    call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')
  end subroutine
end program
