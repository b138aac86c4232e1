! Probes, with and without matching.
module probing
  use support
#include "interface.inc"
  integer :: probe_sent(8), probe_received(8)

contains

  subroutine check_probing()
    call blocking_probe()
    call non_blocking_probe()
    call matched()
    call matched_non_blocking()
    call matched_keeps_order()
    call nobody()
  end subroutine

  subroutine send_to_right(tag, count)
    integer, intent(in) :: tag, count
    probe_sent(1:count) = 100 * tag + rank
    call MPI_Send(probe_sent, count, MPI_INTEGER, right, tag, comm, ierr); call ok('MPI_Send')
  end subroutine

  subroutine check_received(tag, count, what)
    integer, intent(in) :: tag, count
    character(*), intent(in) :: what
    call check(all(probe_received(1:count) == 100 * tag + left), what // ': data')
    call check(all(probe_received(count + 1:) == -1), what // ': no more data')
    probe_received = -1
  end subroutine

  subroutine barrier()
    call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')
  end subroutine

  subroutine blocking_probe()
    T_STATUS :: status
    integer :: count
    probe_received = -1
    call send_to_right(3, 5)
    call MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, status, ierr); call ok('MPI_Probe')
    call check_status(status, left, 3, MPI_INTEGER, 5, 'MPI_Probe')
    call MPI_Probe(left, 3, comm, MPI_STATUS_IGNORE, ierr); call ok('MPI_Probe')
    count = count_of(status, MPI_INTEGER)
    call MPI_Recv(probe_received, count, MPI_INTEGER, source_of(status), tag_of(status), comm, &
                  status, ierr)
    call ok('MPI_Recv')
    call check_status(status, left, 3, MPI_INTEGER, 5, 'MPI_Recv after MPI_Probe')
    call check_received(3, 5, 'MPI_Recv after MPI_Probe')
    call barrier()
  end subroutine

  subroutine non_blocking_probe()
    T_STATUS :: status
    logical :: flag
    flag = .true.
    call MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, flag, status, ierr); call ok('MPI_Iprobe')
    call check(.not. flag, 'MPI_Iprobe: nothing has been sent')
    call barrier()
    call send_to_right(4, 2)
    do while (.not. flag)
      call MPI_Iprobe(MPI_ANY_SOURCE, 4, comm, flag, status, ierr)
      if (ierr /= MPI_SUCCESS) call ok('MPI_Iprobe')
    end do
    call check_status(status, left, 4, MPI_INTEGER, 2, 'MPI_Iprobe')
    flag = .true.
    call MPI_Iprobe(left, 5, comm, flag, MPI_STATUS_IGNORE, ierr); call ok('MPI_Iprobe')
    call check(.not. flag, 'MPI_Iprobe: another tag')
    call MPI_Recv(probe_received, 8, MPI_INTEGER, left, 4, comm, MPI_STATUS_IGNORE, ierr)
    call ok('MPI_Recv')
    call check_received(4, 2, 'MPI_Recv after MPI_Iprobe')
    call barrier()
  end subroutine

  subroutine matched()
    T_MESSAGE :: message
    T_STATUS :: status
    T_REQUEST :: request
    call send_to_right(5, 4)
    call MPI_Mprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, message, status, ierr); call ok('MPI_Mprobe')
    call check_status(status, left, 5, MPI_INTEGER, 4, 'MPI_Mprobe')
    call MPI_Mrecv(probe_received, 4, MPI_INTEGER, message, status, ierr); call ok('MPI_Mrecv')
    call check_status(status, left, 5, MPI_INTEGER, 4, 'MPI_Mrecv')
    call check_received(5, 4, 'MPI_Mrecv')
    call check(message == MPI_MESSAGE_NULL, 'MPI_Mrecv sets MPI_MESSAGE_NULL')
    call barrier()

    call send_to_right(6, 3)
    call MPI_Mprobe(left, 6, comm, message, MPI_STATUS_IGNORE, ierr); call ok('MPI_Mprobe')
    call MPI_Imrecv(probe_received, 8, MPI_INTEGER, message, request, ierr); call ok('MPI_Imrecv')
    call check(message == MPI_MESSAGE_NULL, 'MPI_Imrecv sets MPI_MESSAGE_NULL')
    call MPI_Wait(request, status, ierr); call ok('MPI_Wait')
    call check_status(status, left, 6, MPI_INTEGER, 3, 'MPI_Imrecv')
    call check_received(6, 3, 'MPI_Imrecv')
    call barrier()
  end subroutine

  subroutine matched_non_blocking()
    T_MESSAGE :: message
    T_STATUS :: status
    T_REQUEST :: request
    logical :: flag
    flag = .true.
    call MPI_Improbe(left, MPI_ANY_TAG, comm, flag, message, status, ierr); call ok('MPI_Improbe')
    call check(.not. flag, 'MPI_Improbe: nothing has been sent')
    call barrier()
    call send_to_right(7, 8)
    do while (.not. flag)
      call MPI_Improbe(left, MPI_ANY_TAG, comm, flag, message, status, ierr)
      if (ierr /= MPI_SUCCESS) call ok('MPI_Improbe')
    end do
    call check_status(status, left, 7, MPI_INTEGER, 8, 'MPI_Improbe')
    call MPI_Imrecv(probe_received, 8, MPI_INTEGER, message, request, ierr); call ok('MPI_Imrecv')
    call MPI_Wait(request, MPI_STATUS_IGNORE, ierr); call ok('MPI_Wait')
    call check_received(7, 8, 'MPI_Imrecv after MPI_Improbe')
    call barrier()
  end subroutine

  ! A matched message is not seen by receives that come after the probe.
  subroutine matched_keeps_order()
    T_MESSAGE :: first
    T_STATUS :: status
    integer :: value, i
    do i = 1, 2
      probe_sent(1) = 10 * i + rank
      call MPI_Send(probe_sent, 1, MPI_INTEGER, right, 8, comm, ierr); call ok('MPI_Send')
    end do
    call MPI_Mprobe(left, 8, comm, first, status, ierr); call ok('MPI_Mprobe')
    call MPI_Recv(value, 1, MPI_INTEGER, left, 8, comm, MPI_STATUS_IGNORE, ierr); call ok('MPI_Recv')
    call check(value == 20 + left, 'a receive gets the message after the matched one')
    call MPI_Mrecv(value, 1, MPI_INTEGER, first, MPI_STATUS_IGNORE, ierr); call ok('MPI_Mrecv')
    call check(value == 10 + left, 'MPI_Mrecv gets the matched message')
    call barrier()
  end subroutine

  subroutine nobody()
    T_MESSAGE :: message
    T_STATUS :: status
    logical :: flag
    call MPI_Probe(MPI_PROC_NULL, 1, comm, status, ierr); call ok('MPI_Probe')
    call check_status(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INTEGER, 0, 'MPI_Probe, nobody')
    flag = .false.
    call MPI_Iprobe(MPI_PROC_NULL, 1, comm, flag, status, ierr); call ok('MPI_Iprobe')
    call check(flag, 'MPI_Iprobe, nobody')
    call MPI_Mprobe(MPI_PROC_NULL, 1, comm, message, status, ierr); call ok('MPI_Mprobe')
    call check(message == MPI_MESSAGE_NO_PROC, 'MPI_Mprobe, nobody')
    call MPI_Mrecv(probe_received, 1, MPI_INTEGER, message, status, ierr); call ok('MPI_Mrecv')
    call check_status(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INTEGER, 0, 'MPI_Mrecv, nobody')
    call check(message == MPI_MESSAGE_NULL, 'MPI_Mrecv, nobody: sets MPI_MESSAGE_NULL')
  end subroutine
end module
