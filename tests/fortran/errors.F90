! Error codes, and handlers of the program's own.
module errors
  use support
#include "interface.inc"
  integer :: errors_received(4)
  integer :: handled = 0, handled_code = MPI_SUCCESS
  T_COMM :: handled_comm

contains

  subroutine check_errors()
    call returned_codes()
    call truncated()
    call own_handler()
  end subroutine

  ! The code of the call before has this class, and a text.
  subroutine check_class(class, what)
    integer, intent(in) :: class
    character(*), intent(in) :: what
    character(len=MPI_MAX_ERROR_STRING) :: text
    integer :: found, length, code, ignored
    code = ierr
    call MPI_Error_class(code, found, ignored)
    call check(found == class, what // ': class of the error')
    length = -1
    call MPI_Error_string(code, text, length, ierr); call ok('MPI_Error_string')
    call check(length > 0 .and. len_trim(text) > 0, what // ': text of the error')
  end subroutine

  subroutine returned_codes()
    T_COMM :: copy
    T_ERRHANDLER :: handler
    T_REQUEST :: request
    integer :: value
    call MPI_Comm_dup(comm, copy, ierr); call ok('MPI_Comm_dup')
    call MPI_Comm_set_errhandler(copy, MPI_ERRORS_RETURN, ierr); call ok('MPI_Comm_set_errhandler')
    call MPI_Comm_get_errhandler(copy, handler, ierr); call ok('MPI_Comm_get_errhandler')
    call check(handler == MPI_ERRORS_RETURN, 'MPI_Comm_get_errhandler')
    value = 1
    call MPI_Send(value, 1, MPI_INTEGER, ranks + 3, 1, copy, ierr)
    call check_class(MPI_ERR_RANK, 'MPI_Send to no rank')
    call MPI_Send(value, 1, MPI_INTEGER, right, -55, copy, ierr)
    call check_class(MPI_ERR_TAG, 'MPI_Send with no tag')
    call MPI_Recv(value, -1, MPI_INTEGER, right, 1, copy, MPI_STATUS_IGNORE, ierr)
    call check_class(MPI_ERR_COUNT, 'MPI_Recv of a negative count')
    call MPI_Irecv(value, 1, MPI_INTEGER, ranks + 3, 1, copy, request, ierr)
    call check_class(MPI_ERR_RANK, 'MPI_Irecv from no rank')
    call MPI_Isend(value, 1, MPI_DATATYPE_NULL, right, 1, copy, request, ierr)
    call check_class(MPI_ERR_TYPE, 'MPI_Isend of no type')
    call MPI_Sendrecv(value, 1, MPI_INTEGER, right, 2, errors_received, 1, MPI_INTEGER, left, 2, &
                      copy, MPI_STATUS_IGNORE, ierr)
    call ok('MPI_Sendrecv after errors')
    call MPI_Comm_free(copy, ierr); call ok('MPI_Comm_free')
  end subroutine

  ! A message that is longer than the buffer: by a blocking receive, and as one of three requests.
  subroutine truncated()
    T_COMM :: copy
    T_REQUEST :: requests(3)
    T_STATUSES(3) :: statuses
    T_STATUS :: status
    logical :: flag
    call MPI_Comm_dup(comm, copy, ierr); call ok('MPI_Comm_dup')
    call MPI_Comm_set_errhandler(copy, MPI_ERRORS_RETURN, ierr); call ok('MPI_Comm_set_errhandler')
    errors_received = -1
    call MPI_Send([1, 2, 3, 4], 4, MPI_INTEGER, right, 1, copy, ierr); call ok('MPI_Send')
    call MPI_Recv(errors_received, 2, MPI_INTEGER, left, 1, copy, status, ierr)
    call check_class(MPI_ERR_TRUNCATE, 'MPI_Recv of a message that is too long')

    errors_received = -1
    call MPI_Irecv(errors_received(1), 1, MPI_INTEGER, left, 2, copy, requests(1), ierr)
    call ok('MPI_Irecv')
    call MPI_Irecv(errors_received(2), 1, MPI_INTEGER, left, 3, copy, requests(2), ierr)
    call ok('MPI_Irecv')
    requests(3) = MPI_REQUEST_NULL
    call MPI_Send(rank, 1, MPI_INTEGER, right, 2, copy, ierr); call ok('MPI_Send')
    call MPI_Send([5, 6, 7], 3, MPI_INTEGER, right, 3, copy, ierr); call ok('MPI_Send')
    flag = .false.
    do while (.not. flag)  ! or else MPI_Waitall may say MPI_ERR_PENDING of it
      call MPI_Request_get_status(requests(1), flag, status, ierr)
    end do
    call MPI_Waitall(3, requests, statuses, ierr)
    call check_class(MPI_ERR_IN_STATUS, 'MPI_Waitall with an error')
    ! Open MPI 4.1 gives Fortran neither the statuses nor null requests when it returns an error.
    call check(errors_received(1) == left, 'a good receive beside an error')
    call MPI_Barrier(copy, ierr); call ok('MPI_Barrier')
    call MPI_Comm_free(copy, ierr); call ok('MPI_Comm_free')
  end subroutine

  subroutine handle(failed_comm, code)
    T_COMM :: failed_comm
    integer :: code
    handled = handled + 1
    handled_comm = failed_comm
    handled_code = code
  end subroutine

  ! The handler is called once for each error, with the communicator that the program knows.
  subroutine own_handler()
    T_COMM :: copy
    T_ERRHANDLER :: handler
    T_REQUEST :: request
    integer :: value, before
    before = handled
    value = 1
    call MPI_Comm_dup(comm, copy, ierr); call ok('MPI_Comm_dup')
    call MPI_Comm_create_errhandler(handle, handler, ierr); call ok('MPI_Comm_create_errhandler')
    call MPI_Comm_set_errhandler(copy, handler, ierr); call ok('MPI_Comm_set_errhandler')
    call MPI_Errhandler_free(handler, ierr); call ok('MPI_Errhandler_free')
    call check(handler == MPI_ERRHANDLER_NULL, 'MPI_Errhandler_free sets MPI_ERRHANDLER_NULL')
    call MPI_Send(value, 1, MPI_INTEGER, ranks + 3, 1, copy, ierr)
    call check_handled(1, MPI_ERR_RANK, 'MPI_Send')
    call MPI_Irecv(errors_received, 1, MPI_INTEGER, left, 1, copy, request, ierr)
    call ok('MPI_Irecv')
    call MPI_Send([1, 2, 3], 3, MPI_INTEGER, right, 1, copy, ierr); call ok('MPI_Send')
    call MPI_Wait(request, MPI_STATUS_IGNORE, ierr)
    call check_handled(2, MPI_ERR_TRUNCATE, 'MPI_Wait')
    call MPI_Bcast(value, 1, MPI_INTEGER, ranks + 3, copy, ierr)
    call check_handled(3, MPI_ERR_ROOT, 'MPI_Bcast')
    call MPI_Barrier(copy, ierr); call ok('MPI_Barrier')
    call MPI_Comm_free(copy, ierr); call ok('MPI_Comm_free')

  contains

    subroutine check_handled(times, class, what)
      integer, intent(in) :: times, class
      character(*), intent(in) :: what
      call check(ierr /= MPI_SUCCESS, what // ' returns an error')
      call check(handled - before == times, what // ' calls the handler once')
      call check(handled_comm == copy, what // ' gives the handler the program''s communicator')
      ierr = handled_code
      call check_class(class, what // ', in the handler')
    end subroutine
  end subroutine
end module
