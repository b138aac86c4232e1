! Sends and receives, blocking and not.
module point_to_point
  use support
#include "interface.inc"
  integer, parameter :: large = 200000
  integer :: sent(large), received(large)
  integer :: many_sent(64), many_received(64)

contains

  subroutine check_point_to_point()
    call blocking()
    call types()
    call send_modes()
    call nobody()
    call wildcards()
    call order_of_messages()
    call exchange()
    call non_blocking()
    call to_oneself()
  end subroutine

  subroutine blocking()
    integer :: value
    T_STATUS :: status
    value = 1000 + rank
    if (mod(rank, 2) == 0) then
      call MPI_Send(value, 1, MPI_INTEGER, partner, 7, comm, ierr); call ok('MPI_Send')
      call MPI_Recv(value, 1, MPI_INTEGER, partner, 8, comm, MPI_STATUS_IGNORE, ierr)
      call ok('MPI_Recv')
    else
      call MPI_Recv(many_received, 64, MPI_INTEGER, partner, 7, comm, status, ierr)
      call ok('MPI_Recv')
      call check(many_received(1) == 1000 + partner, 'MPI_Recv: data')
      call check_status(status, partner, 7, MPI_INTEGER, 1, 'MPI_Recv')
      call MPI_Send(value, 1, MPI_INTEGER, partner, 8, comm, ierr); call ok('MPI_Send')
      value = 1000 + partner
    end if
    call check(value == 1000 + partner, 'MPI_Recv with MPI_STATUS_IGNORE: data')
  end subroutine

  subroutine types()
    double precision :: double, double_in
    real :: single(3), single_in(3)
    complex :: z, z_in
    logical :: yes(2), yes_in(2)
    integer(kind=8) :: long, long_in
    character(len=12) :: text, text_in
    T_STATUS :: status
    double = rank + 0.25d0; single = [1.0, 2.0, 3.0 + rank]; z = (1.5, -2.5)
    yes = [.true., .false.]; long = 2_8**40 + rank; text = 'hello, world'
    if (mod(rank, 2) == 0) then
      call MPI_Send(double, 1, MPI_DOUBLE_PRECISION, partner, 1, comm, ierr); call ok('double')
      call MPI_Send(single, 3, MPI_REAL, partner, 2, comm, ierr); call ok('real')
      call MPI_Send(z, 1, MPI_COMPLEX, partner, 3, comm, ierr); call ok('complex')
      call MPI_Send(yes, 2, MPI_LOGICAL, partner, 4, comm, ierr); call ok('logical')
      call MPI_Send(long, 1, MPI_INTEGER8, partner, 5, comm, ierr); call ok('integer8')
      call MPI_Send(text, len(text), MPI_CHARACTER, partner, 6, comm, ierr); call ok('character')
    else
      call MPI_Recv(double_in, 1, MPI_DOUBLE_PRECISION, partner, 1, comm, status, ierr)
      call check(double_in == partner + 0.25d0, 'a double precision value')
      call check_status(status, partner, 1, MPI_DOUBLE_PRECISION, 1, 'MPI_DOUBLE_PRECISION')
      call MPI_Recv(single_in, 3, MPI_REAL, partner, 2, comm, status, ierr)
      call check(all(single_in == [1.0, 2.0, 3.0 + partner]), 'real values')
      call MPI_Recv(z_in, 1, MPI_COMPLEX, partner, 3, comm, status, ierr)
      call check(z_in == z, 'a complex value')
      call MPI_Recv(yes_in, 2, MPI_LOGICAL, partner, 4, comm, status, ierr)
      call check(all(yes_in .eqv. yes), 'logical values')
      call MPI_Recv(long_in, 1, MPI_INTEGER8, partner, 5, comm, status, ierr)
      call check(long_in == 2_8**40 + partner, 'an integer of 8 bytes')
      call MPI_Recv(text_in, len(text_in), MPI_CHARACTER, partner, 6, comm, status, ierr)
      call check(text_in == text, 'a character string')
      call check_status(status, partner, 6, MPI_CHARACTER, 12, 'MPI_CHARACTER')
    end if
  end subroutine

  ! Synchronous, buffered, ready; blocking and not.
  subroutine send_modes()
    integer, parameter :: room = 64 * 1024
    character(len=1), save, target :: space(room)
    T_REQUEST :: requests(4)
    integer :: i
    call MPI_Buffer_attach(space, room, ierr); call ok('MPI_Buffer_attach')
    many_received = -1
    do i = 1, 4
      call MPI_Irecv(many_received(i), 1, MPI_INTEGER, left, 20 + i, comm, requests(i), ierr)
      call ok('MPI_Irecv')
    end do
    call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')  ! ready sends need the receive posted
    many_sent(1:4) = [1, 2, 3, 4] + 10 * rank
    call MPI_Ssend(many_sent(1), 1, MPI_INTEGER, right, 21, comm, ierr); call ok('MPI_Ssend')
    call MPI_Bsend(many_sent(2), 1, MPI_INTEGER, right, 22, comm, ierr); call ok('MPI_Bsend')
    call MPI_Rsend(many_sent(3), 1, MPI_INTEGER, right, 23, comm, ierr); call ok('MPI_Rsend')
    call MPI_Send(many_sent(4), 1, MPI_INTEGER, right, 24, comm, ierr); call ok('MPI_Send')
    call MPI_Waitall(4, requests, MPI_STATUSES_IGNORE, ierr); call ok('MPI_Waitall')
    call check(all(many_received(1:4) == [1, 2, 3, 4] + 10 * left), 'blocking send modes: data')

    do i = 1, 4
      call MPI_Irecv(many_received(i), 1, MPI_INTEGER, left, 30 + i, comm, requests(i), ierr)
      call ok('MPI_Irecv')
    end do
    call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')
    many_sent(1:4) = many_sent(1:4) + 1
    call send_and_wait()
    call MPI_Waitall(4, requests, MPI_STATUSES_IGNORE, ierr); call ok('MPI_Waitall')
    call check(all(many_received(1:4) == [2, 3, 4, 5] + 10 * left), 'send modes: data')
    call detach()
    call check(all([(requests(i) == MPI_REQUEST_NULL, i = 1, 4)]), 'MPI_Waitall nulls requests')

  contains

    subroutine send_and_wait()
      T_REQUEST :: sends(4)
      T_STATUSES(4) :: statuses
      call MPI_Issend(many_sent(1), 1, MPI_INTEGER, right, 31, comm, sends(1), ierr)
      call ok('MPI_Issend')
      call MPI_Ibsend(many_sent(2), 1, MPI_INTEGER, right, 32, comm, sends(2), ierr)
      call ok('MPI_Ibsend')
      call MPI_Irsend(many_sent(3), 1, MPI_INTEGER, right, 33, comm, sends(3), ierr)
      call ok('MPI_Irsend')
      call MPI_Isend(many_sent(4), 1, MPI_INTEGER, right, 34, comm, sends(4), ierr)
      call ok('MPI_Isend')
      call MPI_Waitall(4, sends, statuses, ierr); call ok('MPI_Waitall')
      call check(all([(sends(i) == MPI_REQUEST_NULL, i = 1, 4)]), 'MPI_Waitall nulls sends')
    end subroutine

    subroutine detach()
#if defined(USE_MPI_F08)
      block
        use, intrinsic :: iso_c_binding, only: c_ptr, c_loc, c_associated
        type(c_ptr) :: address
        integer :: size
        call MPI_Buffer_detach(address, size, ierr); call ok('MPI_Buffer_detach')
        call check(size == room, 'MPI_Buffer_detach: size')
        call check(c_associated(address, c_loc(space)), 'MPI_Buffer_detach: address')
      end block
#else
      integer :: size
      call MPI_Buffer_detach(space, size, ierr); call ok('MPI_Buffer_detach')
      call check(size == room, 'MPI_Buffer_detach: size')
#endif
    end subroutine
  end subroutine

  ! MPI_PROC_NULL, and messages of no elements.
  subroutine nobody()
    integer :: value
    T_STATUS :: status
    T_REQUEST :: request
    value = 5
    call MPI_Send(value, 1, MPI_INTEGER, MPI_PROC_NULL, 1, comm, ierr); call ok('MPI_Send')
    call MPI_Recv(value, 1, MPI_INTEGER, MPI_PROC_NULL, 1, comm, status, ierr); call ok('MPI_Recv')
    call check_status(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INTEGER, 0, 'from MPI_PROC_NULL')
    call MPI_Irecv(value, 1, MPI_INTEGER, MPI_PROC_NULL, 1, comm, request, ierr)
    call ok('MPI_Irecv')
    call MPI_Wait(request, status, ierr); call ok('MPI_Wait')
    call check_status(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INTEGER, 0, 'Irecv from nobody')
    call check(value == 5, 'MPI_PROC_NULL changes no data')

    call MPI_Isend(value, 0, MPI_INTEGER, right, 2, comm, request, ierr); call ok('MPI_Isend')
    call MPI_Recv(value, 1, MPI_INTEGER, left, 2, comm, status, ierr); call ok('MPI_Recv')
    call check_status(status, left, 2, MPI_INTEGER, 0, 'a message of no elements')
    call check(value == 5, 'a message of no elements changes no data')
    call MPI_Wait(request, MPI_STATUS_IGNORE, ierr); call ok('MPI_Wait')
  end subroutine

  ! Rank 0 takes three messages of each other rank as they come.
  subroutine wildcards()
    integer :: i, n, source, tag
    integer :: next(0:ranks - 1)
    T_STATUS :: status
    if (rank /= 0) then
      do i = 1, 3
        many_sent(1:i) = 100 * rank + i
        call MPI_Send(many_sent, i, MPI_INTEGER, 0, 40 + i, comm, ierr); call ok('MPI_Send')
      end do
    else
      next = 0
      do n = 1, 3 * (ranks - 1)
        call MPI_Recv(many_received, 64, MPI_INTEGER, MPI_ANY_SOURCE, MPI_ANY_TAG, comm, status, ierr)
        call ok('MPI_Recv')
        source = source_of(status)
        tag = tag_of(status)
        call check(source > 0 .and. source < ranks, 'MPI_ANY_SOURCE: source')
        next(source) = next(source) + 1
        call check(tag == 40 + next(source), 'MPI_ANY_TAG: tags of a source in order')
        call check(count_of(status, MPI_INTEGER) == next(source), 'wildcards: count')
        call MPI_Get_elements(status, MPI_INTEGER, i, ierr); call ok('MPI_Get_elements')
        call check(i == next(source), 'wildcards: MPI_Get_elements')
        call check(all(many_received(1:i) == 100 * source + i), 'wildcards: data')
      end do
      call check(all(next(1:) == 3), 'wildcards: three messages of each')
    end if
    call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')

    do i = 1, 2  ! any tag from one source; one tag from any source
      many_sent(i) = rank + i
      call MPI_Send(many_sent(i), 1, MPI_INTEGER, right, 50 + i, comm, ierr); call ok('MPI_Send')
    end do
    call MPI_Recv(n, 1, MPI_INTEGER, left, MPI_ANY_TAG, comm, status, ierr); call ok('MPI_Recv')
    call check_status(status, left, 51, MPI_INTEGER, 1, 'any tag')
    call check(n == left + 1, 'any tag: data')
    call MPI_Recv(n, 1, MPI_INTEGER, MPI_ANY_SOURCE, 52, comm, status, ierr); call ok('MPI_Recv')
    call check_status(status, left, 52, MPI_INTEGER, 1, 'any source')
    call check(n == left + 2, 'any source: data')
    call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')
  end subroutine

  subroutine order_of_messages()
    integer, parameter :: n = 20
    integer :: i, value
    T_REQUEST :: requests(2 * n)
    do i = 1, n
      many_sent(i) = 10 * i + rank
      call MPI_Isend(many_sent(i), 1, MPI_INTEGER, right, 60, comm, requests(i), ierr)
      call ok('MPI_Isend')
    end do
    do i = 1, n
      call MPI_Isend(many_sent(i), 1, MPI_INTEGER, right, 60 + i, comm, requests(n + i), ierr)
      call ok('MPI_Isend')
    end do
    do i = n, 1, -1
      call MPI_Recv(value, 1, MPI_INTEGER, left, 60 + i, comm, MPI_STATUS_IGNORE, ierr)
      call check(value == 10 * i + left, 'messages by tag, last one first')
    end do
    do i = 1, n
      call MPI_Recv(value, 1, MPI_INTEGER, left, 60, comm, MPI_STATUS_IGNORE, ierr)
      call check(value == 10 * i + left, 'messages with one tag in order')
    end do
    call MPI_Waitall(2 * n, requests, MPI_STATUSES_IGNORE, ierr); call ok('MPI_Waitall')
  end subroutine

  subroutine exchange()
    integer :: mine, other, up, down
    T_STATUS :: status
    mine = 7 * rank
    call MPI_Sendrecv(mine, 1, MPI_INTEGER, right, 70, other, 1, MPI_INTEGER, left, 70, comm, &
                      status, ierr)
    call ok('MPI_Sendrecv')
    call check(other == 7 * left, 'MPI_Sendrecv: data')
    call check_status(status, left, 70, MPI_INTEGER, 1, 'MPI_Sendrecv')
    call MPI_Sendrecv_replace(mine, 1, MPI_INTEGER, left, 71, right, 71, comm, status, ierr)
    call ok('MPI_Sendrecv_replace')
    call check(mine == 7 * right, 'MPI_Sendrecv_replace: data')
    call check_status(status, right, 71, MPI_INTEGER, 1, 'MPI_Sendrecv_replace')

    up = merge(rank + 1, MPI_PROC_NULL, rank + 1 < ranks)  ! open ends
    down = merge(rank - 1, MPI_PROC_NULL, rank > 0)
    other = -1
    call MPI_Sendrecv(rank, 1, MPI_INTEGER, up, 72, other, 1, MPI_INTEGER, down, 72, comm, &
                      MPI_STATUS_IGNORE, ierr)
    call ok('MPI_Sendrecv')
    call check(other == merge(rank - 1, -1, rank > 0), 'MPI_Sendrecv with open ends')
  end subroutine

  subroutine non_blocking()
    integer :: i
    T_REQUEST :: requests(2)
    T_STATUSES(2) :: statuses
    sent = [(i + rank, i = 1, large)]
    received = 0
    call MPI_Irecv(received, large, MPI_INTEGER, MPI_ANY_SOURCE, 80, comm, requests(1), ierr)
    call ok('MPI_Irecv')
    call MPI_Isend(sent, large, MPI_INTEGER, right, 80, comm, requests(2), ierr)
    call ok('MPI_Isend')
    call MPI_Waitall(2, requests, statuses, ierr); call ok('MPI_Waitall')
    call check_status(NTH(statuses, 1), left, 80, MPI_INTEGER, large, 'a large message')
    call check(all(received == [(i + left, i = 1, large)]), 'a large message: data')
    call check(requests(1) == MPI_REQUEST_NULL, 'a finished request is null')

    ! A request that is freed; the message must come nevertheless.
    call MPI_Isend(many_sent, 1, MPI_INTEGER, right, 81, comm, requests(1), ierr)
    call ok('MPI_Isend')
    call MPI_Request_free(requests(1), ierr); call ok('MPI_Request_free')
    call check(requests(1) == MPI_REQUEST_NULL, 'MPI_Request_free sets MPI_REQUEST_NULL')
    call MPI_Recv(many_received, 1, MPI_INTEGER, left, 81, comm, MPI_STATUS_IGNORE, ierr)
    call check(many_received(1) == 10 + left, 'a message of a freed request')
    call MPI_Barrier(comm, ierr); call ok('MPI_Barrier')
  end subroutine

  subroutine to_oneself()
    integer :: value
    T_REQUEST :: request
    T_STATUS :: status
    call MPI_Irecv(many_received, 2, MPI_INTEGER, rank, 90, comm, request, ierr)
    call ok('MPI_Irecv')
    call MPI_Send([rank, 90], 2, MPI_INTEGER, rank, 90, comm, ierr); call ok('MPI_Send')
    call MPI_Wait(request, status, ierr); call ok('MPI_Wait')
    call check_status(status, rank, 90, MPI_INTEGER, 2, 'a message to oneself')
    call check(all(many_received(1:2) == [rank, 90]), 'a message to oneself: data')
    call MPI_Sendrecv(rank, 1, MPI_INTEGER, rank, 91, value, 1, MPI_INTEGER, rank, 91, comm, &
                      status, ierr)
    call ok('MPI_Sendrecv')
    call check(value == rank, 'MPI_Sendrecv with oneself')
  end subroutine
end module
