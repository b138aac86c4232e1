// A C++ program that uses nothing but an installed Cairn. Prints "epoch N" on rank 0.
#include <mpi.h>

#include <boost/serialization/map.hpp>
#include <boost/serialization/string.hpp>
#include <iostream>
#include <map>
#include <string>

#include <cairn/cairn.hpp>
#include <cairn/serialize.hpp>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  {
    int step = 0;
    std::map<std::string, int> names;
    cairn::Session session{MPI_COMM_WORLD};
    session.protect("step", step);
    session.serialize("names", names);
    session.restart();
    ++step;
    names["step " + std::to_string(step)] = rank;
    if (const auto status = session.checkpoint(); !status) {
      std::cerr << status.message() << '\n';
      MPI_Abort(MPI_COMM_WORLD, 1);
    }
    if (rank == 0) std::cout << "step " << names.size() << " epoch " << session.epoch() << '\n';
  }
  MPI_Finalize();
}
