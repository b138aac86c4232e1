# How tests are registered.
find_package(GTest REQUIRED)

# cairn_unit_test(NAME SOURCES a_test.cpp … LIBRARIES cairn_io … [LABELS …] [TIMEOUT s])
# One process, GoogleTest's own main.
function(cairn_unit_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} GTest::gtest_main GTest::gmock)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} PROCESSORS 1
                       LABELS "unit;${arg_LABELS}")
endfunction()

# cairn_mpi_test(NAME SOURCES … LIBRARIES … RANKS 2 4 [LABELS …] [TIMEOUT s])
# One executable, run once for each rank count under mpirun; tests/support/mpi_main.cpp is its main.
function(cairn_mpi_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LIBRARIES;RANKS;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name} ${arg_SOURCES} ${PROJECT_SOURCE_DIR}/tests/support/mpi_main.cpp)
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} GTest::gtest GTest::gmock MPI::MPI_CXX)
  foreach(ranks IN LISTS arg_RANKS)
    add_test(NAME ${name}.${ranks}
             COMMAND ${MPIEXEC_EXECUTABLE} --oversubscribe -n ${ranks} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}.${ranks} PROPERTIES TIMEOUT ${arg_TIMEOUT} PROCESSORS 2
                         LABELS "mpi;${arg_LABELS}" ENVIRONMENT "${CAIRN_MPI_TEST_ENVIRONMENT}")
  endforeach()
endfunction()

# cairn_python_test(NAME script.py ARGS … [LABELS …] [TIMEOUT s] [PROCESSORS n])
# A script that drives real programs; it gets the build's bin directory in BUILD_BIN.
function(cairn_python_test name script)
  cmake_parse_arguments(arg "" "TIMEOUT;PROCESSORS" "ARGS;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  if(NOT arg_PROCESSORS)
    set(arg_PROCESSORS 2)
  endif()
  add_test(NAME ${name} COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/${script} ${arg_ARGS})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} PROCESSORS ${arg_PROCESSORS}
                       LABELS "system;${arg_LABELS}"
                       ENVIRONMENT "BUILD_BIN=${CMAKE_BINARY_DIR}/bin;${CAIRN_MPI_TEST_ENVIRONMENT}")
endfunction()

set(CAIRN_MPI_TEST_ENVIRONMENT
    "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMPI_MCA_mpi_yield_when_idle=1;OMPI_MCA_rmaps_base_oversubscribe=1;OMPI_MCA_btl_tcp_if_include=lo;OMPI_MCA_oob_tcp_if_include=lo;OMPI_MCA_hwloc_base_binding_policy=none")
