! Every way to complete requests: Wait*, Test*, statuses, null requests, cancelling.
module completion
  use support
#include "interface.inc"
  integer, parameter :: n = 4
  integer :: completion_sent(n), completion_received(n)

contains

  subroutine check_completion()
    call wait_one()
    call wait_any()
    call wait_some()
    call wait_all()
    call test_one()
    call test_any()
    call test_some()
    call test_all()
    call null_requests()
    call get_status()
    call cancel()
  end subroutine

  ! n receives from the left with tags 101 … 100+n; null requests stand between them.
  subroutine post(requests)
    T_REQUEST, intent(out) :: requests(2 * n)
    integer :: i
    completion_received = -1
    do i = 1, n
      requests(2 * i - 1) = MPI_REQUEST_NULL
      call MPI_Irecv(completion_received(i), 1, MPI_INTEGER, left, 100 + i, comm, &
                     requests(2 * i), ierr)
      call ok('MPI_Irecv')
    end do
  end subroutine

  ! What the right-hand neighbour's requests wait for, last one first.
  subroutine send_all()
    integer :: i
    do i = n, 1, -1
      completion_sent(i) = 1000 * rank + i
      call MPI_Send(completion_sent(i), 1, MPI_INTEGER, right, 100 + i, comm, ierr)
      call ok('MPI_Send')
    end do
  end subroutine

  subroutine nobody_sends_before_this()
    call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')
  end subroutine

  ! Request `index` (1 … 2n) has completed.
  subroutine check_completed(requests, index, status, what)
    T_REQUEST, intent(in) :: requests(2 * n)
    integer, intent(in) :: index
    T_STATUS, intent(in) :: status
    character(*), intent(in) :: what
    call check(index >= 2 .and. index <= 2 * n .and. mod(index, 2) == 0, what // ': index')
    call check_status(status, left, 100 + index / 2, MPI_INTEGER, 1, what)
    call check_data(requests, index, what)
  end subroutine

  subroutine check_data(requests, index, what)
    T_REQUEST, intent(in) :: requests(2 * n)
    integer, intent(in) :: index
    character(*), intent(in) :: what
    call check(requests(index) == MPI_REQUEST_NULL, what // ': a completed request is null')
    call check(completion_received(index / 2) == 1000 * left + index / 2, what // ': data')
  end subroutine

  subroutine check_all_null(requests, what)
    T_REQUEST, intent(in) :: requests(2 * n)
    character(*), intent(in) :: what
    integer :: i
    do i = 1, 2 * n
      call check(requests(i) == MPI_REQUEST_NULL, what // ': all requests are null')
    end do
  end subroutine

  subroutine wait_one()
    T_REQUEST :: requests(2 * n)
    T_STATUS :: status
    integer :: i
    call post(requests)
    call send_all()
    do i = 2, 2 * n, 2
      if (i == 2) then
        call MPI_Wait(requests(i), MPI_STATUS_IGNORE, ierr); call ok('MPI_Wait')
        call check_data(requests, i, 'MPI_Wait')
      else
        call MPI_Wait(requests(i), status, ierr); call ok('MPI_Wait')
        call check_completed(requests, i, status, 'MPI_Wait')
      end if
    end do
    call check_all_null(requests, 'MPI_Wait')
  end subroutine

  subroutine wait_any()
    T_REQUEST :: requests(2 * n)
    T_STATUS :: status
    integer :: i, index
    call post(requests)
    call send_all()
    do i = 1, n
      index = -1
      if (i == 2) then
        call MPI_Waitany(2 * n, requests, index, MPI_STATUS_IGNORE, ierr); call ok('MPI_Waitany')
        call check_data(requests, index, 'MPI_Waitany')
      else
        call MPI_Waitany(2 * n, requests, index, status, ierr); call ok('MPI_Waitany')
        call check_completed(requests, index, status, 'MPI_Waitany')
      end if
    end do
    call check_all_null(requests, 'MPI_Waitany')
    call MPI_Waitany(2 * n, requests, index, status, ierr); call ok('MPI_Waitany')
    call check(index == MPI_UNDEFINED, 'MPI_Waitany of null requests')
    call check_empty(status, 'MPI_Waitany')
  end subroutine

  subroutine wait_some()
    T_REQUEST :: requests(2 * n)
    T_STATUSES(2 * n) :: statuses
    integer :: indices(2 * n), outcount, done, i
    call post(requests)
    call send_all()
    done = 0
    do while (done < n)
      if (done == 0) then
        call MPI_Waitsome(2 * n, requests, outcount, indices, MPI_STATUSES_IGNORE, ierr)
      else
        call MPI_Waitsome(2 * n, requests, outcount, indices, statuses, ierr)
      end if
      if (ierr /= MPI_SUCCESS) call ok('MPI_Waitsome')
      if (outcount < 1 .or. outcount > n) call check(.false., 'MPI_Waitsome: outcount')
      do i = 1, outcount
        if (done > 0) then
          if (tag_of(NTH(statuses, i)) /= 100 + indices(i) / 2) &
            call check(.false., 'MPI_Waitsome: tag in status')
          if (source_of(NTH(statuses, i)) /= left) call check(.false., 'MPI_Waitsome: source')
        end if
        call check_data(requests, indices(i), 'MPI_Waitsome')
      end do
      done = done + outcount
    end do
    call check_all_null(requests, 'MPI_Waitsome')
    call MPI_Waitsome(2 * n, requests, outcount, indices, statuses, ierr); call ok('MPI_Waitsome')
    call check(outcount == MPI_UNDEFINED, 'MPI_Waitsome of null requests')
  end subroutine

  subroutine wait_all()
    T_REQUEST :: requests(2 * n)
    T_STATUSES(2 * n) :: statuses
    integer :: i
    call post(requests)
    call send_all()
    call MPI_Waitall(2 * n, requests, statuses, ierr); call ok('MPI_Waitall')
    do i = 1, n
      call check_empty(NTH(statuses, 2 * i - 1), 'MPI_Waitall')
      call check_completed(requests, 2 * i, NTH(statuses, 2 * i), 'MPI_Waitall')
    end do
    call post(requests)
    call send_all()
    call MPI_Waitall(2 * n, requests, MPI_STATUSES_IGNORE, ierr); call ok('MPI_Waitall')
    do i = 1, n
      call check_data(requests, 2 * i, 'MPI_Waitall with MPI_STATUSES_IGNORE')
    end do
    call check_all_null(requests, 'MPI_Waitall')
    call MPI_Waitall(0, requests, MPI_STATUSES_IGNORE, ierr); call ok('MPI_Waitall of nothing')
  end subroutine

  subroutine test_one()
    T_REQUEST :: requests(2 * n)
    T_STATUS :: status
    logical :: flag
    integer :: i
    call post(requests)
    flag = .true.
    call MPI_Test(requests(2), flag, status, ierr); call ok('MPI_Test')
    call check(.not. flag, 'MPI_Test: nothing has been sent')
    call check(requests(2) /= MPI_REQUEST_NULL, 'MPI_Test: a pending request stays')
    call nobody_sends_before_this()
    call send_all()
    do i = 2, 2 * n, 2
      flag = .false.
      do while (.not. flag)
        if (i == 2) then
          call MPI_Test(requests(i), flag, MPI_STATUS_IGNORE, ierr)
        else
          call MPI_Test(requests(i), flag, status, ierr)
        end if
        if (ierr /= MPI_SUCCESS) call ok('MPI_Test')
      end do
      if (i == 2) then
        call check_data(requests, i, 'MPI_Test')
      else
        call check_completed(requests, i, status, 'MPI_Test')
      end if
    end do
    call check_all_null(requests, 'MPI_Test')
  end subroutine

  subroutine test_any()
    T_REQUEST :: requests(2 * n)
    T_STATUS :: status
    logical :: flag
    integer :: index, i
    call post(requests)
    flag = .true.
    index = -1
    call MPI_Testany(2 * n, requests, index, flag, status, ierr); call ok('MPI_Testany')
    call check(.not. flag, 'MPI_Testany: nothing has been sent')
    call check(index == MPI_UNDEFINED, 'MPI_Testany: index when nothing has been sent')
    call nobody_sends_before_this()
    call send_all()
    do i = 1, n
      flag = .false.
      do while (.not. flag)
        if (i == 2) then
          call MPI_Testany(2 * n, requests, index, flag, MPI_STATUS_IGNORE, ierr)
        else
          call MPI_Testany(2 * n, requests, index, flag, status, ierr)
        end if
        if (ierr /= MPI_SUCCESS) call ok('MPI_Testany')
      end do
      if (i == 2) then
        call check_data(requests, index, 'MPI_Testany')
      else
        call check_completed(requests, index, status, 'MPI_Testany')
      end if
    end do
    call check_all_null(requests, 'MPI_Testany')
    flag = .false.
    call MPI_Testany(2 * n, requests, index, flag, status, ierr); call ok('MPI_Testany')
    call check(flag, 'MPI_Testany of null requests: flag')
    call check(index == MPI_UNDEFINED, 'MPI_Testany of null requests: index')
    call check_empty(status, 'MPI_Testany')
  end subroutine

  subroutine test_some()
    T_REQUEST :: requests(2 * n)
    T_STATUSES(2 * n) :: statuses
    integer :: indices(2 * n), outcount, done, i
    call post(requests)
    outcount = -1
    call MPI_Testsome(2 * n, requests, outcount, indices, statuses, ierr); call ok('MPI_Testsome')
    call check(outcount == 0, 'MPI_Testsome: nothing has been sent')
    call nobody_sends_before_this()
    call send_all()
    done = 0
    do while (done < n)
      call MPI_Testsome(2 * n, requests, outcount, indices, statuses, ierr)
      if (ierr /= MPI_SUCCESS) call ok('MPI_Testsome')
      if (outcount < 0 .or. outcount > n) call check(.false., 'MPI_Testsome: outcount')
      do i = 1, outcount
        call check_completed(requests, indices(i), NTH(statuses, i), 'MPI_Testsome')
      end do
      done = done + outcount
    end do
    call check_all_null(requests, 'MPI_Testsome')
    call MPI_Testsome(2 * n, requests, outcount, indices, MPI_STATUSES_IGNORE, ierr)
    call ok('MPI_Testsome')
    call check(outcount == MPI_UNDEFINED, 'MPI_Testsome of null requests')
  end subroutine

  subroutine test_all()
    T_REQUEST :: requests(2 * n)
    T_STATUSES(2 * n) :: statuses
    logical :: flag
    integer :: i
    call post(requests)
    flag = .true.
    call MPI_Testall(2 * n, requests, flag, statuses, ierr); call ok('MPI_Testall')
    call check(.not. flag, 'MPI_Testall: nothing has been sent')
    do i = 2, 2 * n, 2
      call check(requests(i) /= MPI_REQUEST_NULL, 'MPI_Testall: pending requests stay')
    end do
    call nobody_sends_before_this()
    call send_all()
    flag = .false.
    do while (.not. flag)
      call MPI_Testall(2 * n, requests, flag, statuses, ierr)
      if (ierr /= MPI_SUCCESS) call ok('MPI_Testall')
    end do
    do i = 1, n
      call check_empty(NTH(statuses, 2 * i - 1), 'MPI_Testall')
      call check_completed(requests, 2 * i, NTH(statuses, 2 * i), 'MPI_Testall')
    end do
    call check_all_null(requests, 'MPI_Testall')
    flag = .false.
    call MPI_Testall(2 * n, requests, flag, MPI_STATUSES_IGNORE, ierr); call ok('MPI_Testall')
    call check(flag, 'MPI_Testall of null requests')
  end subroutine

  subroutine null_requests()
    T_REQUEST :: request
    T_STATUS :: status
    logical :: flag
    request = MPI_REQUEST_NULL
    call MPI_Wait(request, status, ierr); call ok('MPI_Wait')
    call check_empty(status, 'MPI_Wait of a null request')
    call MPI_Wait(request, MPI_STATUS_IGNORE, ierr); call ok('MPI_Wait')
    flag = .false.
    call MPI_Test(request, flag, status, ierr); call ok('MPI_Test')
    call check(flag, 'MPI_Test of a null request')
    call check_empty(status, 'MPI_Test of a null request')
    call check(request == MPI_REQUEST_NULL, 'a null request stays null')
  end subroutine

  ! MPI_Request_get_status says that a request is complete and leaves it as it is.
  subroutine get_status()
    T_REQUEST :: request
    T_STATUS :: status
    logical :: flag
    completion_received(1) = -1
    call MPI_Irecv(completion_received, 1, MPI_INTEGER, left, 120, comm, request, ierr)
    call ok('MPI_Irecv')
    flag = .true.
    call MPI_Request_get_status(request, flag, status, ierr); call ok('MPI_Request_get_status')
    call check(.not. flag, 'MPI_Request_get_status: nothing has been sent')
    call nobody_sends_before_this()
    call MPI_Send(rank, 1, MPI_INTEGER, right, 120, comm, ierr); call ok('MPI_Send')
    do while (.not. flag)
      call MPI_Request_get_status(request, flag, status, ierr)
      if (ierr /= MPI_SUCCESS) call ok('MPI_Request_get_status')
    end do
    call check_status(status, left, 120, MPI_INTEGER, 1, 'MPI_Request_get_status')
    call check(request /= MPI_REQUEST_NULL, 'MPI_Request_get_status leaves the request')
    call MPI_Wait(request, status, ierr); call ok('MPI_Wait')
    call check_status(status, left, 120, MPI_INTEGER, 1, 'MPI_Wait after a look at the request')
    call check(completion_received(1) == left, 'MPI_Request_get_status: data')
  end subroutine

  subroutine cancel()
    T_REQUEST :: request
    T_STATUS :: status
    logical :: flag
    completion_received(1) = -1
    call MPI_Irecv(completion_received(1), 1, MPI_INTEGER, left, 130, comm, request, ierr)
    call ok('MPI_Irecv')
    call MPI_Cancel(request, ierr); call ok('MPI_Cancel')
    call MPI_Wait(request, status, ierr); call ok('MPI_Wait')
    flag = .false.
    call MPI_Test_cancelled(status, flag, ierr); call ok('MPI_Test_cancelled')
    call check(flag, 'a receive without a message can be cancelled')
    call check(request == MPI_REQUEST_NULL, 'a cancelled request is null in the end')
    call check(completion_received(1) == -1, 'a cancelled receive changes no data')
    call nobody_sends_before_this()
    call MPI_Send(rank, 1, MPI_INTEGER, right, 130, comm, ierr); call ok('MPI_Send')
    call MPI_Recv(completion_received(2), 1, MPI_INTEGER, left, 130, comm, status, ierr)
    call ok('MPI_Recv')
    call check(completion_received(2) == left, 'the message goes to the receive after it')
    flag = .true.
    call MPI_Test_cancelled(status, flag, ierr); call ok('MPI_Test_cancelled')
    call check(.not. flag, 'a completed receive is not cancelled')
  end subroutine
end module
