// crash_test_tool: what the Python tests need of Cairn's own code.
//   crash_test_tool points      every crash point, one per line, in the order an epoch passes them
//   crash_test_tool checksum    checksum of standard input, as the files have it

#include <cstdio>
#include <iostream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "base/checksum.hpp"
#include "base/crash_point.hpp"

int main(int argc, char** argv) {
  const std::string_view what = argc == 2 ? argv[1] : "";
  if (what == "points") {
    for (const std::string_view point : cairn::crash_points()) std::cout << point << "\n";
    return 0;
  }
  if (what == "checksum") {
    const std::string text{std::istreambuf_iterator<char>{std::cin}, {}};
    std::printf("%016llx\n",
                static_cast<unsigned long long>(cairn::checksum(std::as_bytes(std::span{text}))));
    return 0;
  }
  std::cerr << "usage: crash_test_tool points|checksum\n";
  return 2;
}
