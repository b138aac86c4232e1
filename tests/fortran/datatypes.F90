! Derived types, MPI_BOTTOM, packing.
module datatypes
  use support
#include "interface.inc"
  integer, parameter :: rows = 5, columns = 4
  double precision, target :: matrix(rows, columns)
  integer, target :: dt_number(3)
  double precision, target :: dt_value
  character(len=8), target :: dt_name

contains

  subroutine check_datatypes()
    call contiguous()
    call vector()
    call indexed()
    call at_absolute_addresses()
    call subarray()
    call packed()
  end subroutine

  subroutine commit(type)
    T_DATATYPE, intent(inout) :: type
    call MPI_Type_commit(type, ierr); call ok('MPI_Type_commit')
  end subroutine

  subroutine release(type)
    T_DATATYPE, intent(inout) :: type
    call MPI_Type_free(type, ierr); call ok('MPI_Type_free')
    call check(type == MPI_DATATYPE_NULL, 'MPI_Type_free sets MPI_DATATYPE_NULL')
  end subroutine

  subroutine fill(whose)
    integer, intent(in) :: whose
    integer :: i, j
    do j = 1, columns
      do i = 1, rows
        matrix(i, j) = 100 * whose + 10 * i + j
      end do
    end do
  end subroutine

  subroutine contiguous()
    T_DATATYPE :: column
    T_STATUS :: status
    integer :: count, i
    call MPI_Type_contiguous(rows, MPI_DOUBLE_PRECISION, column, ierr)
    call ok('MPI_Type_contiguous')
    call commit(column)
    call fill(rank)
    call MPI_Sendrecv(matrix(1, 3), 2, column, right, 1, matrix(1, 1), 2, column, left, 1, comm, &
                      status, ierr)
    call ok('MPI_Sendrecv')
    call check_status(status, left, 1, column, 2, 'contiguous type')
    call MPI_Get_elements(status, column, count, ierr); call ok('MPI_Get_elements')
    call check(count == 2 * rows, 'contiguous type: MPI_Get_elements')
    call check(all(matrix(:, 1) == [(100 * left + 10 * i + 3, i = 1, rows)]), 'contiguous type: data')
    call release(column)
  end subroutine

  ! A row of a matrix, by a type and (as the compiler sees fit: a copy) by a section.
  subroutine vector()
    T_DATATYPE :: row
    T_REQUEST :: requests(2)
    double precision :: section(columns)
    integer :: j
    call MPI_Type_vector(columns, 1, rows, MPI_DOUBLE_PRECISION, row, ierr)
    call ok('MPI_Type_vector')
    call commit(row)
    call fill(rank)
    call MPI_Irecv(matrix(5, 1), 1, row, left, 2, comm, requests(1), ierr); call ok('MPI_Irecv')
    call MPI_Isend(matrix(3, 1), 1, row, right, 2, comm, requests(2), ierr); call ok('MPI_Isend')
    call MPI_Waitall(2, requests, MPI_STATUSES_IGNORE, ierr); call ok('MPI_Waitall')
    call check(all(matrix(5, :) == [(100 * left + 30 + j, j = 1, columns)]), 'vector type: data')
    call check(matrix(4, 1) == 100 * rank + 41, 'vector type: nothing else')
    call release(row)
    if (mod(rank, 2) == 0) then
      call MPI_Send(matrix(2, :), columns, MPI_DOUBLE_PRECISION, partner, 3, comm, ierr)
      call ok('MPI_Send')
    else
      call MPI_Recv(section, columns, MPI_DOUBLE_PRECISION, partner, 3, comm, MPI_STATUS_IGNORE, ierr)
      call ok('MPI_Recv')
      call check(all(section == [(100 * partner + 20 + j, j = 1, columns)]), 'a section: data')
    end if
  end subroutine

  subroutine indexed()
    T_DATATYPE :: some
    integer, save :: list(10), list_in(10)
    integer :: i
    call MPI_Type_indexed(3, [1, 2, 1], [0, 3, 9], MPI_INTEGER, some, ierr)
    call ok('MPI_Type_indexed')
    call commit(some)
    list = [(10 * rank + i, i = 0, 9)]
    list_in = -1
    call MPI_Sendrecv(list, 1, some, right, 4, list_in, 1, some, left, 4, comm, MPI_STATUS_IGNORE, ierr)
    call ok('MPI_Sendrecv')
    call check(all(list_in == merge([(10 * left + i, i = 0, 9)], -1, &
                                    [(any(i == [0, 3, 4, 9]), i = 0, 9)])), 'indexed type: data')
    call release(some)
  end subroutine

  ! Variables in several places, sent and received by MPI_BOTTOM.
  subroutine at_absolute_addresses()
    T_DATATYPE :: record
    T_DATATYPE :: types(3)
    T_REQUEST :: request
    integer(kind=MPI_ADDRESS_KIND) :: addresses(3)
    integer :: round
    call MPI_Get_address(dt_number, addresses(1), ierr); call ok('MPI_Get_address')
    call MPI_Get_address(dt_value, addresses(2), ierr); call ok('MPI_Get_address')
    call MPI_Get_address(dt_name, addresses(3), ierr); call ok('MPI_Get_address')
    types = [MPI_INTEGER, MPI_DOUBLE_PRECISION, MPI_CHARACTER]
    call MPI_Type_create_struct(3, [3, 1, 8], addresses, types, record, ierr)
    call ok('MPI_Type_create_struct')
    call commit(record)
    do round = 1, 3  ! blocking, non-blocking, broadcast
      dt_number = rank + [1, 2, 3]
      dt_value = rank + 0.5d0
      write (dt_name, '(a, i1)') 'rank  #', rank
      if (round == 3) then
        call MPI_Bcast(MPI_BOTTOM, 1, record, ranks - 1, comm, ierr); call ok('MPI_Bcast')
        call check_record(ranks - 1)
      else if (mod(rank, 2) == 0) then
        call MPI_Send(MPI_BOTTOM, 1, record, partner, 5, comm, ierr); call ok('MPI_Send')
      else if (round == 1) then
        call MPI_Recv(MPI_BOTTOM, 1, record, partner, 5, comm, MPI_STATUS_IGNORE, ierr)
        call ok('MPI_Recv')
        call check_record(partner)
      else
        call MPI_Irecv(MPI_BOTTOM, 1, record, partner, 5, comm, request, ierr); call ok('MPI_Irecv')
        call MPI_Wait(request, MPI_STATUS_IGNORE, ierr); call ok('MPI_Wait')
        call check_record(partner)
      end if
    end do
    call persistently()
    call release(record)

  contains

    subroutine persistently()
      integer :: again
      if (mod(rank, 2) == 0) then
        call MPI_Send_init(MPI_BOTTOM, 1, record, partner, 6, comm, request, ierr)
      else
        call MPI_Recv_init(MPI_BOTTOM, 1, record, partner, 6, comm, request, ierr)
      end if
      call ok('persistent request with MPI_BOTTOM')
      do again = 1, 2
        dt_number = rank + [1, 2, 3]
        dt_value = rank + 0.5d0
        write (dt_name, '(a, i1)') 'rank  #', rank
        call MPI_Start(request, ierr); call ok('MPI_Start')
        call MPI_Wait(request, MPI_STATUS_IGNORE, ierr); call ok('MPI_Wait')
        if (mod(rank, 2) == 1) call check_record(partner)
      end do
      call MPI_Request_free(request, ierr); call ok('MPI_Request_free')
    end subroutine
  end subroutine

  subroutine check_record(whose)
    integer, intent(in) :: whose
    character(len=8) :: name
    write (name, '(a, i1)') 'rank  #', whose
    call check(all(dt_number == whose + [1, 2, 3]), 'MPI_BOTTOM: integers')
    call check(dt_value == whose + 0.5d0, 'MPI_BOTTOM: double precision')
    call check(dt_name == name, 'MPI_BOTTOM: characters')
  end subroutine

  ! The inside of a matrix; a resized type in between.
  subroutine subarray()
    T_DATATYPE :: inside, wide
    integer(kind=MPI_ADDRESS_KIND) :: lower, extent
    integer :: bytes
    call MPI_Type_create_subarray(2, [rows, columns], [3, 2], [1, 1], MPI_ORDER_FORTRAN, &
                                  MPI_DOUBLE_PRECISION, inside, ierr)
    call ok('MPI_Type_create_subarray')
    call commit(inside)
    call fill(rank)
    call MPI_Sendrecv_replace(matrix, 1, inside, right, 7, left, 7, comm, MPI_STATUS_IGNORE, ierr)
    call ok('MPI_Sendrecv_replace')
    call check(matrix(2, 2) == 100 * left + 22 .and. matrix(4, 3) == 100 * left + 43, 'subarray: data')
    call check(matrix(1, 1) == 100 * rank + 11 .and. matrix(5, 4) == 100 * rank + 54, 'subarray: rim')
    call MPI_Type_create_resized(MPI_INTEGER, 0_MPI_ADDRESS_KIND, 16_MPI_ADDRESS_KIND, wide, ierr)
    call ok('MPI_Type_create_resized')
    call MPI_Type_get_extent(wide, lower, extent, ierr); call ok('MPI_Type_get_extent')
    call MPI_Type_size(wide, bytes, ierr); call ok('MPI_Type_size')
    call check(lower == 0 .and. extent == 16 .and. bytes == 4, 'MPI_Type_create_resized')
    call release(wide)
    call release(inside)
  end subroutine

  subroutine packed()
    character(len=1) :: parcel(100)
    T_STATUS :: status
    integer :: position, number
    double precision :: value
    if (mod(rank, 2) == 0) then
      position = 0
      call MPI_Pack(rank, 1, MPI_INTEGER, parcel, 100, position, comm, ierr); call ok('MPI_Pack')
      call MPI_Pack(rank + 0.5d0, 1, MPI_DOUBLE_PRECISION, parcel, 100, position, comm, ierr)
      call ok('MPI_Pack')
      call MPI_Send(parcel, position, MPI_PACKED, partner, 8, comm, ierr); call ok('MPI_Send')
    else
      call MPI_Recv(parcel, 100, MPI_PACKED, partner, 8, comm, status, ierr); call ok('MPI_Recv')
      call check(count_of(status, MPI_PACKED) == 12, 'MPI_PACKED: count')
      position = 0
      call MPI_Unpack(parcel, 100, position, number, 1, MPI_INTEGER, comm, ierr)
      call ok('MPI_Unpack')
      call MPI_Unpack(parcel, 100, position, value, 1, MPI_DOUBLE_PRECISION, comm, ierr)
      call ok('MPI_Unpack')
      call check(number == partner .and. value == partner + 0.5d0, 'MPI_PACKED: data')
    end if
  end subroutine
end module
