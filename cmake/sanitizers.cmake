# What the programs of a build with a sanitizer (presets asan and tsan) need; the libraries do not.
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=address")
  add_library(keep_loaded OBJECT tests/support/sanitizers/keep_loaded.c)
  link_libraries(keep_loaded)
endif()
