! Persistent requests.
module persistent
  use support
#include "interface.inc"
  integer, parameter :: modes = 4, rounds = 5
  integer :: persistent_sent(modes), persistent_received(modes)

contains

  subroutine check_persistent()
    call one_of_each_mode()
    call inactive()
    call with_others()
    call some_at_a_time()
    call wildcard()
    call cancelled()
    call freed()
  end subroutine

  ! Started one by one in even rounds, all at once in odd ones; handles stay the same.
  subroutine one_of_each_mode()
    integer, parameter :: room = 16 * 1024
    character(len=1), save, target :: space(room)
    T_REQUEST :: receives(modes), sends(modes), before(modes)
    T_STATUSES(modes) :: statuses
    integer :: i, round
    call MPI_Buffer_attach(space, room, ierr); call ok('MPI_Buffer_attach')
    do i = 1, modes
      call MPI_Recv_init(persistent_received(i), 1, MPI_INTEGER, left, 200 + i, comm, &
                         receives(i), ierr)
      call ok('MPI_Recv_init')
    end do
    call MPI_Send_init(persistent_sent(1), 1, MPI_INTEGER, right, 201, comm, sends(1), ierr)
    call ok('MPI_Send_init')
    call MPI_Ssend_init(persistent_sent(2), 1, MPI_INTEGER, right, 202, comm, sends(2), ierr)
    call ok('MPI_Ssend_init')
    call MPI_Bsend_init(persistent_sent(3), 1, MPI_INTEGER, right, 203, comm, sends(3), ierr)
    call ok('MPI_Bsend_init')
    call MPI_Rsend_init(persistent_sent(4), 1, MPI_INTEGER, right, 204, comm, sends(4), ierr)
    call ok('MPI_Rsend_init')
    before = receives
    do round = 1, rounds
      persistent_sent = [(1000 * round + 10 * i + rank, i = 1, modes)]
      persistent_received = -1
      if (mod(round, 2) == 0) then
        do i = 1, modes
          call MPI_Start(receives(i), ierr); call ok('MPI_Start')
        end do
      else
        call MPI_Startall(modes, receives, ierr); call ok('MPI_Startall')
      end if
      call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')  ! a ready send needs the receive
      if (mod(round, 2) == 0) then
        call MPI_Startall(modes, sends, ierr); call ok('MPI_Startall')
      else
        do i = 1, modes
          call MPI_Start(sends(i), ierr); call ok('MPI_Start')
        end do
      end if
      call MPI_Waitall(modes, receives, statuses, ierr); call ok('MPI_Waitall')
      do i = 1, modes
        call check_status(NTH(statuses, i), left, 200 + i, MPI_INTEGER, 1, 'persistent receive')
        call check(persistent_received(i) == 1000 * round + 10 * i + left, 'persistent: data')
        call check(receives(i) == before(i), 'a persistent request keeps its handle')
        call check(receives(i) /= MPI_REQUEST_NULL, 'a persistent request is not null')
      end do
      call MPI_Waitall(modes, sends, MPI_STATUSES_IGNORE, ierr); call ok('MPI_Waitall')
    end do
    do i = 1, modes
      call release(receives(i))
      call release(sends(i))
    end do
    call detach()

  contains

    subroutine detach()
#if defined(USE_MPI_F08)
      block
        use, intrinsic :: iso_c_binding, only: c_ptr
        type(c_ptr) :: address
        call MPI_Buffer_detach(address, i, ierr); call ok('MPI_Buffer_detach')
      end block
#else
      call MPI_Buffer_detach(space, i, ierr); call ok('MPI_Buffer_detach')
#endif
    end subroutine
  end subroutine

  subroutine release(request)
    T_REQUEST, intent(inout) :: request
    call MPI_Request_free(request, ierr); call ok('MPI_Request_free')
    call check(request == MPI_REQUEST_NULL, 'MPI_Request_free sets MPI_REQUEST_NULL')
  end subroutine

  subroutine receive_init(number, request)
    integer, intent(in) :: number
    T_REQUEST, intent(out) :: request
    call MPI_Recv_init(persistent_received(number), 1, MPI_INTEGER, left, 210 + number, comm, &
                       request, ierr)
    call ok('MPI_Recv_init')
  end subroutine

  ! Requests that have not been started count as complete, with an empty status.
  subroutine inactive()
    T_REQUEST :: requests(3)
    T_STATUS :: status
    T_STATUSES(3) :: statuses
    integer :: index, indices(3), outcount, i
    logical :: flag
    call receive_init(1, requests(1))
    requests(2) = MPI_REQUEST_NULL
    call receive_init(2, requests(3))
    call MPI_Wait(requests(1), status, ierr); call ok('MPI_Wait')
    call check_empty(status, 'MPI_Wait of an inactive request')
    flag = .false.
    call MPI_Test(requests(1), flag, status, ierr); call ok('MPI_Test')
    call check(flag, 'MPI_Test of an inactive request')
    call check_empty(status, 'MPI_Test of an inactive request')
    call MPI_Waitany(3, requests, index, status, ierr); call ok('MPI_Waitany')
    call check(index == MPI_UNDEFINED, 'MPI_Waitany of inactive requests')
    call check_empty(status, 'MPI_Waitany of inactive requests')
    flag = .false.
    call MPI_Testany(3, requests, index, flag, status, ierr); call ok('MPI_Testany')
    call check(flag .and. index == MPI_UNDEFINED, 'MPI_Testany of inactive requests')
    call check_empty(status, 'MPI_Testany of inactive requests')
    call MPI_Waitsome(3, requests, outcount, indices, statuses, ierr); call ok('MPI_Waitsome')
    call check(outcount == MPI_UNDEFINED, 'MPI_Waitsome of inactive requests')
    call MPI_Testsome(3, requests, outcount, indices, statuses, ierr); call ok('MPI_Testsome')
    call check(outcount == MPI_UNDEFINED, 'MPI_Testsome of inactive requests')
    call MPI_Waitall(3, requests, statuses, ierr); call ok('MPI_Waitall')
    flag = .false.
    call MPI_Testall(3, requests, flag, statuses, ierr); call ok('MPI_Testall')
    call check(flag, 'MPI_Testall of inactive requests')
    do i = 1, 3
      call check_empty(NTH(statuses, i), 'MPI_Testall of inactive requests')
    end do
    call check(requests(1) /= MPI_REQUEST_NULL, 'an inactive request stays')
    call release(requests(1))  ! never started
    call release(requests(3))
  end subroutine

  ! Persistent and other requests in one array.
  subroutine with_others()
    T_REQUEST :: requests(4)
    T_STATUSES(4) :: statuses
    integer :: round
    call receive_init(1, requests(1))
    call MPI_Send_init(persistent_sent(1), 1, MPI_INTEGER, right, 211, comm, requests(2), ierr)
    call ok('MPI_Send_init')
    do round = 1, rounds
      persistent_sent(1:2) = [round, round + 50] + 100 * rank
      call MPI_Irecv(persistent_received(2), 1, MPI_INTEGER, left, 212, comm, requests(3), ierr)
      call ok('MPI_Irecv')
      call MPI_Startall(2, requests, ierr); call ok('MPI_Startall')
      call MPI_Isend(persistent_sent(2), 1, MPI_INTEGER, right, 212, comm, requests(4), ierr)
      call ok('MPI_Isend')
      call MPI_Waitall(4, requests, statuses, ierr); call ok('MPI_Waitall')
      call check_status(NTH(statuses, 1), left, 211, MPI_INTEGER, 1, 'mixed, persistent')
      call check_status(NTH(statuses, 3), left, 212, MPI_INTEGER, 1, 'mixed, other')
      call check(all(persistent_received(1:2) == [round, round + 50] + 100 * left), 'mixed: data')
      call check(requests(1) /= MPI_REQUEST_NULL, 'mixed: a persistent request stays')
      call check(requests(3) == MPI_REQUEST_NULL, 'mixed: another is null')
    end do
    call release(requests(1))
    call release(requests(2))
  end subroutine

  ! Waitany, Waitsome, Test, Testany, Testsome and Testall in turn, each with all receives active.
  subroutine some_at_a_time()
    integer, parameter :: waitany = 1, waitsome = 2, test = 3, testany = 4, testsome = 5, testall = 6
    T_REQUEST :: requests(modes)
    integer :: kind, i, index, indices(modes), outcount, done
    logical :: flag
    T_STATUS :: status
    T_STATUSES(modes) :: statuses
    do i = 1, modes
      call receive_init(i, requests(i))
    end do
    do kind = waitany, testall
      persistent_received = -1
      call MPI_Startall(modes, requests, ierr); call ok('MPI_Startall')
      do i = modes, 1, -1
        persistent_sent(i) = 100 * kind + 10 * i + rank
        call MPI_Send(persistent_sent(i), 1, MPI_INTEGER, right, 210 + i, comm, ierr)
        call ok('MPI_Send')
      end do
      done = 0
      do while (done < modes)
        outcount = 0
        select case (kind)
        case (waitany)
          call MPI_Waitany(modes, requests, indices(1), status, ierr)
          outcount = 1
        case (waitsome)
          call MPI_Waitsome(modes, requests, outcount, indices, statuses, ierr)
        case (test)
          call MPI_Test(requests(done + 1), flag, status, ierr)
          indices(1) = done + 1
          if (flag) outcount = 1
        case (testany)
          call MPI_Testany(modes, requests, indices(1), flag, status, ierr)
          if (flag) outcount = 1
        case (testsome)
          call MPI_Testsome(modes, requests, outcount, indices, statuses, ierr)
        case (testall)
          call MPI_Testall(modes, requests, flag, statuses, ierr)
          indices = [(i, i = 1, modes)]
          if (flag) outcount = modes
        end select
        if (ierr /= MPI_SUCCESS) call ok('completion of persistent requests')
        do i = 1, outcount
          index = indices(i)
          if (kind == waitsome .or. kind == testsome .or. kind == testall) then
            call check_one(NTH(statuses, i))
          else
            call check_one(status)
          end if
        end do
        done = done + outcount
      end do
    end do
    do i = 1, modes
      call release(requests(i))
    end do

  contains

    subroutine check_one(one)
      T_STATUS, intent(in) :: one
      call check(index >= 1 .and. index <= modes, 'persistent: index')
      call check_status(one, left, 210 + index, MPI_INTEGER, 1, 'persistent, one of some')
      call check(persistent_received(index) == 100 * kind + 10 * index + left, &
                 'persistent, one of some: data')
      call check(requests(index) /= MPI_REQUEST_NULL, 'persistent, one of some: not null')
    end subroutine
  end subroutine

  ! A receive from anyone, any tag; and requests with nobody.
  subroutine wildcard()
    T_REQUEST :: request
    T_STATUS :: status
    integer :: round
    call MPI_Recv_init(persistent_received, modes, MPI_INTEGER, MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &
                       request, ierr)
    call ok('MPI_Recv_init')
    do round = 1, modes
      call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')
      call MPI_Start(request, ierr); call ok('MPI_Start')
      call MPI_Send([rank, round, 0, 0], round, MPI_INTEGER, right, 220 + round, comm, ierr)
      call ok('MPI_Send')
      call MPI_Wait(request, status, ierr); call ok('MPI_Wait')
      call check_status(status, left, 220 + round, MPI_INTEGER, round, 'persistent, wildcards')
      call check(persistent_received(1) == left, 'persistent, wildcards: data')
    end do
    call release(request)
    call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')

    call MPI_Recv_init(persistent_received, modes, MPI_INTEGER, MPI_PROC_NULL, 1, comm, request, ierr)
    call ok('MPI_Recv_init')
    call MPI_Start(request, ierr); call ok('MPI_Start')
    call MPI_Wait(request, status, ierr); call ok('MPI_Wait')
    call check_status(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INTEGER, 0, 'persistent, nobody')
    call release(request)
  end subroutine

  ! A started receive is cancelled, and can be started again.
  subroutine cancelled()
    T_REQUEST :: request
    T_STATUS :: status
    logical :: flag
    call receive_init(1, request)
    call MPI_Start(request, ierr); call ok('MPI_Start')
    call MPI_Cancel(request, ierr); call ok('MPI_Cancel')
    call MPI_Wait(request, status, ierr); call ok('MPI_Wait')
    flag = .false.
    call MPI_Test_cancelled(status, flag, ierr); call ok('MPI_Test_cancelled')
    call check(flag, 'a persistent receive can be cancelled')
    call check(request /= MPI_REQUEST_NULL, 'a cancelled persistent request stays')
    call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')
    call MPI_Start(request, ierr); call ok('MPI_Start')
    call MPI_Send(rank, 1, MPI_INTEGER, right, 211, comm, ierr); call ok('MPI_Send')
    call MPI_Wait(request, status, ierr); call ok('MPI_Wait')
    call MPI_Test_cancelled(status, flag, ierr); call ok('MPI_Test_cancelled')
    call check(.not. flag, 'started again, it is not cancelled')
    call check_status(status, left, 211, MPI_INTEGER, 1, 'started again after a cancel')
    call check(persistent_received(1) == left, 'started again after a cancel: data')
    call release(request)
  end subroutine

  ! A send that is freed while it is active.
  subroutine freed()
    T_REQUEST :: request
    persistent_sent(1) = rank + 5
    call MPI_Send_init(persistent_sent, 1, MPI_INTEGER, right, 230, comm, request, ierr)
    call ok('MPI_Send_init')
    call MPI_Start(request, ierr); call ok('MPI_Start')
    call release(request)
    call MPI_Recv(persistent_received, 1, MPI_INTEGER, left, 230, comm, MPI_STATUS_IGNORE, ierr)
    call ok('MPI_Recv')
    call check(persistent_received(1) == left + 5, 'a freed active send arrives')
    call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')
  end subroutine
end module
