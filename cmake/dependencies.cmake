# Everything Cairn is built from. All of it is in Debian.
find_package(MPI 3.1 REQUIRED COMPONENTS C CXX)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Boost REQUIRED COMPONENTS serialization)
find_package(PkgConfig REQUIRED)
pkg_check_modules(hdf5 REQUIRED IMPORTED_TARGET hdf5-openmpi)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(lz4 REQUIRED IMPORTED_TARGET liblz4)
find_path(XXHASH_INCLUDE_DIR xxhash.h REQUIRED)

# Open MPI's C++ bindings are dead code; without this, C programs that link Cairn need libmpi_cxx.
add_compile_definitions(OMPI_SKIP_MPICXX)
