C     A smoothing loop in the FORTRAN 77 way: fixed form, mpif.h in each
C     unit, COMMON, persistent halo exchange. The sum of all values must
C     stay as it is. Prints "result: <n> cases passed".
      PROGRAM SMOOTH
      IMPLICIT NONE
      INCLUDE 'mpif.h'
      INTEGER N, STEPS
      PARAMETER (N = 1000, STEPS = 200)
      DOUBLE PRECISION U(0:N+1), V(N)
      COMMON /FIELD/ U, V
      INTEGER RANK, RANKS, PASSED
      COMMON /RUN/ RANK, RANKS, PASSED
      INTEGER REQS(4), STATS(MPI_STATUS_SIZE, 4), STEP, IERR
      DOUBLE PRECISION TOTAL, BEFORE, AFTER

      CALL MPI_INIT(IERR)
      CALL MPI_COMM_RANK(MPI_COMM_WORLD, RANK, IERR)
      CALL MPI_COMM_SIZE(MPI_COMM_WORLD, RANKS, IERR)
      PASSED = 0
      CALL SETUP(REQS)
      BEFORE = TOTAL()
      DO 10 STEP = 1, STEPS
        CALL MPI_STARTALL(4, REQS, IERR)
        CALL MPI_WAITALL(4, REQS, STATS, IERR)
        CALL CHECK(IERR .EQ. MPI_SUCCESS, 'MPI_WAITALL')
        CALL CHECK(STATS(MPI_TAG, 1) .EQ. 1, 'tag from the left')
        CALL CHECK(STATS(MPI_SOURCE, 2) .EQ. MOD(RANK + 1, RANKS),
     &             'source on the right')
        CALL SWEEP
   10 CONTINUE
      AFTER = TOTAL()
      CALL CHECK(ABS(AFTER - BEFORE) .LT. 1D-9 * ABS(BEFORE),
     &           'the sum stays')
      DO 20 STEP = 1, 4
        CALL MPI_REQUEST_FREE(REQS(STEP), IERR)
        CALL CHECK(REQS(STEP) .EQ. MPI_REQUEST_NULL, 'freed')
   20 CONTINUE
      CALL GATHER
      IF (RANK .EQ. 0) WRITE (*, '(A, I0, A)') 'result: ', PASSED,
     &  ' cases passed'
      CALL MPI_FINALIZE(IERR)
      END

      SUBROUTINE CHECK(GOOD, WHAT)
      IMPLICIT NONE
      INCLUDE 'mpif.h'
      LOGICAL GOOD
      CHARACTER*(*) WHAT
      INTEGER RANK, RANKS, PASSED, IERR
      COMMON /RUN/ RANK, RANKS, PASSED
      IF (GOOD) THEN
        PASSED = PASSED + 1
      ELSE
        WRITE (*, '(A, I0, 2A)') 'FAILED on rank ', RANK, ': ', WHAT
        CALL MPI_ABORT(MPI_COMM_WORLD, 1, IERR)
      END IF
      END

C     Values and the four persistent requests of a periodic line.
      SUBROUTINE SETUP(REQS)
      IMPLICIT NONE
      INCLUDE 'mpif.h'
      INTEGER N, REQS(4), LEFT, RIGHT, I, IERR
      PARAMETER (N = 1000)
      DOUBLE PRECISION U(0:N+1), V(N)
      COMMON /FIELD/ U, V
      INTEGER RANK, RANKS, PASSED
      COMMON /RUN/ RANK, RANKS, PASSED
      DO 10 I = 1, N
        U(I) = MOD(I * 7919 + RANK * 104729, 1009)
   10 CONTINUE
      LEFT = MOD(RANK + RANKS - 1, RANKS)
      RIGHT = MOD(RANK + 1, RANKS)
      CALL MPI_RECV_INIT(U(0), 1, MPI_DOUBLE_PRECISION, LEFT, 1,
     &                   MPI_COMM_WORLD, REQS(1), IERR)
      CALL MPI_RECV_INIT(U(N+1), 1, MPI_DOUBLE_PRECISION, RIGHT, 2,
     &                   MPI_COMM_WORLD, REQS(2), IERR)
      CALL MPI_SEND_INIT(U(N), 1, MPI_DOUBLE_PRECISION, RIGHT, 1,
     &                   MPI_COMM_WORLD, REQS(3), IERR)
      CALL MPI_SEND_INIT(U(1), 1, MPI_DOUBLE_PRECISION, LEFT, 2,
     &                   MPI_COMM_WORLD, REQS(4), IERR)
      END

      SUBROUTINE SWEEP
      IMPLICIT NONE
      INTEGER N, I
      PARAMETER (N = 1000)
      DOUBLE PRECISION U(0:N+1), V(N)
      COMMON /FIELD/ U, V
      DO 10 I = 1, N
        V(I) = 0.25D0 * U(I-1) + 0.5D0 * U(I) + 0.25D0 * U(I+1)
   10 CONTINUE
      DO 20 I = 1, N
        U(I) = V(I)
   20 CONTINUE
      END

      DOUBLE PRECISION FUNCTION TOTAL()
      IMPLICIT NONE
      INCLUDE 'mpif.h'
      INTEGER N, I, IERR
      PARAMETER (N = 1000)
      DOUBLE PRECISION U(0:N+1), V(N), MINE
      COMMON /FIELD/ U, V
      MINE = 0
      DO 10 I = 1, N
        MINE = MINE + U(I)
   10 CONTINUE
      CALL MPI_ALLREDUCE(MINE, TOTAL, 1, MPI_DOUBLE_PRECISION, MPI_SUM,
     &                   MPI_COMM_WORLD, IERR)
      END

C     Rank 0 takes a message of each other rank, whoever is first.
      SUBROUTINE GATHER
      IMPLICIT NONE
      INCLUDE 'mpif.h'
      INTEGER RANK, RANKS, PASSED
      COMMON /RUN/ RANK, RANKS, PASSED
      INTEGER STATUS(MPI_STATUS_SIZE), I, VALUE(2), COUNT, IERR
      INTEGER SOURCE, TAG
      LOGICAL FLAG
      IF (RANK .NE. 0) THEN
        VALUE(1) = RANK
        VALUE(2) = PASSED
        CALL MPI_SEND(VALUE, 2, MPI_INTEGER, 0, 100 + RANK,
     &                MPI_COMM_WORLD, IERR)
        RETURN
      END IF
      DO 20 I = 1, RANKS - 1
   10   CALL MPI_IPROBE(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD,
     &                  FLAG, STATUS, IERR)
        IF (.NOT. FLAG) GOTO 10
        CALL MPI_GET_COUNT(STATUS, MPI_INTEGER, COUNT, IERR)
        CALL CHECK(COUNT .EQ. 2, 'two integers')
        SOURCE = STATUS(MPI_SOURCE)
        TAG = STATUS(MPI_TAG)
        CALL MPI_RECV(VALUE, COUNT, MPI_INTEGER, SOURCE, TAG,
     &                MPI_COMM_WORLD, STATUS, IERR)
        CALL CHECK(STATUS(MPI_TAG) .EQ. 100 + VALUE(1), 'tag')
        CALL CHECK(STATUS(MPI_SOURCE) .EQ. VALUE(1), 'source')
        PASSED = PASSED + VALUE(2)
   20 CONTINUE
      END
