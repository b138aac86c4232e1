// Derived types: every layout on either side, types that are freed while a message is pending.
#include <algorithm>
#include <memory>

#include "check.hpp"

using namespace conformance;

namespace {

struct Particle {
  double mass;
  int id;
  char kind;
  double place[3];
  bool operator==(const Particle& other) const {
    return mass == other.mass && id == other.id && kind == other.kind &&
           std::equal(place, place + 3, other.place);
  }
};

Particle particle(int i) { return {i * .5, i, static_cast<char>('a' + i % 26), {1. * i, 2., 3.}}; }

MPI_Datatype particle_type() {
  const int lengths[4] = {1, 1, 1, 3};
  const MPI_Aint places[4] = {offsetof(Particle, mass), offsetof(Particle, id),
                              offsetof(Particle, kind), offsetof(Particle, place)};
  const MPI_Datatype types[4] = {MPI_DOUBLE, MPI_INT, MPI_CHAR, MPI_DOUBLE};
  MPI_Datatype bare, type;
  MPI_Type_create_struct(4, lengths, places, types, &bare);
  MPI_Type_create_resized(bare, 0, sizeof(Particle), &type);
  MPI_Type_free(&bare);
  MPI_Type_commit(&type);
  return type;
}

/// A way to lay out `n` ints: an MPI type and how many of it, and where int `i` is.
struct Layout {
  const char* name;
  MPI_Datatype (*make)(int n);
  int elements;  // 0: n
  int (*place)(int i, int n);
};

const Layout kLayouts[] = {
    {"contiguous", [](int) { return MPI_Datatype(MPI_INT); }, 0, [](int i, int) { return i; }},
    {"vector",
     [](int n) {
       MPI_Datatype type;
       MPI_Type_vector(n, 1, 3, MPI_INT, &type);
       return type;
     },
     1, [](int i, int) { return 3 * i; }},
    {"hvector of pairs",
     [](int n) {
       MPI_Datatype type;
       MPI_Type_create_hvector(n / 2, 2, 5 * sizeof(int), MPI_INT, &type);
       return type;
     },
     1, [](int i, int) { return i / 2 * 5 + i % 2; }},
    {"indexed, backwards",
     [](int n) {
       std::vector<int> lengths(static_cast<std::size_t>(n), 1), places(lengths);
       for (int i = 0; i < n; ++i) places[i] = 2 * (n - 1 - i);
       MPI_Datatype type;
       MPI_Type_indexed(n, lengths.data(), places.data(), MPI_INT, &type);
       return type;
     },
     1, [](int i, int n) { return 2 * (n - 1 - i); }},
    {"resized",
     [](int) {
       MPI_Datatype type;
       MPI_Type_create_resized(MPI_INT, 0, 4 * sizeof(int), &type);
       return type;
     },
     0, [](int i, int) { return 4 * i; }},
    {"struct of two blocks",
     [](int n) {
       const int lengths[2] = {n / 2, n - n / 2};
       const MPI_Aint places[2] = {static_cast<MPI_Aint>(n * sizeof(int)), 0};
       const MPI_Datatype types[2] = {MPI_INT, MPI_INT};
       MPI_Datatype type;
       MPI_Type_create_struct(2, lengths, places, types, &type);
       return type;
     },
     1, [](int i, int n) { return i < n / 2 ? n + i : i - n / 2; }},
    {"subarray",
     [](int n) {
       const int sizes[2] = {n / 2, 4}, part[2] = {n / 2, 2}, from[2] = {0, 1};
       MPI_Datatype type;
       MPI_Type_create_subarray(2, sizes, part, from, MPI_ORDER_C, MPI_INT, &type);
       return type;
     },
     1, [](int i, int) { return i / 2 * 4 + 1 + i % 2; }},
};

std::vector<int> laid_out(const Layout& layout, const std::vector<int>& values) {
  const int n = static_cast<int>(values.size());
  std::vector<int> memory(values.size() * 5 + 8, -3);
  for (int i = 0; i < n; ++i) memory[layout.place(i, n)] = values[i];
  return memory;
}

}  // namespace

TEST_CASE(every_layout_to_every_other) {
  for (const int n : {2, 400, 40'000}) {
    const std::vector<int> values = numbers(n, n), empty(values.size() * 5 + 8, -3);
    for (const Layout& from : kLayouts) {
      for (const Layout& to : kLayouts) {
        const std::vector<int> out = laid_out(from, values);
        std::vector<int> in = empty;
        MPI_Datatype out_type = from.make(n), in_type = to.make(n);
        MPI_Type_commit(&out_type);
        MPI_Type_commit(&in_type);
        MPI_Request requests[2];
        MPI_Status statuses[2];
        const int in_count = to.elements ? 1 : n;
        MPI_Irecv(in.data(), in_count, in_type, left(), 1, MPI_COMM_WORLD, &requests[0]);
        if (in_type != MPI_INT) MPI_Type_free(&in_type);  // while it is pending
        MPI_Isend(out.data(), from.elements ? 1 : n, out_type, right(), 1, MPI_COMM_WORLD,
                  &requests[1]);
        if (out_type != MPI_INT) MPI_Type_free(&out_type);
        MPI_Waitall(2, requests, statuses);
        int elements = -1;
        MPI_Get_elements(&statuses[0], MPI_INT, &elements);
        CHECK_EQ(elements, n);
        if (in != laid_out(to, values)) {
          report(__FILE__, __LINE__, std::string(from.name) + " to " + to.name);
        }
      }
    }
  }
}

TEST_CASE(structs_with_gaps) {
  MPI_Datatype type = particle_type();
  for (int round = 0; round < 12; ++round) {
    const int n = round % 3 == 2 ? 10'000 : 1 + round;
    std::vector<Particle> out, in(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) out.push_back(particle(i + round));
    MPI_Request request;
    MPI_Status status;
    MPI_Isend(out.data(), n, type, right(), round, MPI_COMM_WORLD, &request);
    MPI_Probe(left(), round, MPI_COMM_WORLD, &status);
    CHECK_STATUS(status, left(), round, type, n);
    MPI_Recv(in.data(), n, type, MPI_ANY_SOURCE, round, MPI_COMM_WORLD, &status);
    CHECK_STATUS(status, left(), round, type, n);
    int elements = -1;
    MPI_Get_elements(&status, type, &elements);
    CHECK_EQ(elements, 6 * n);
    CHECK(in == out);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
  }
  MPI_Type_free(&type);
}

TEST_CASE(part_of_a_struct) {
  MPI_Datatype type = particle_type();
  for (int round = 0; round < 8; ++round) {
    // One whole particle and two elements of the next.
    const Particle out[2] = {particle(round), particle(round + 1)};
    Particle in[3] = {particle(90), particle(91), particle(92)};
    MPI_Datatype front;
    const int lengths[2] = {1, 1};
    const MPI_Aint places[2] = {0, sizeof(Particle)};
    const int head[2] = {1, 1};
    const MPI_Aint inside[2] = {offsetof(Particle, mass), offsetof(Particle, id)};
    const MPI_Datatype scalars[2] = {MPI_DOUBLE, MPI_INT};
    MPI_Datatype begin;
    MPI_Type_create_struct(2, head, inside, scalars, &begin);
    const MPI_Datatype both[2] = {type, begin};
    MPI_Type_create_struct(2, lengths, places, both, &front);
    MPI_Type_commit(&front);
    MPI_Type_free(&begin);
    MPI_Request send, receive;
    MPI_Status status;
    if (round % 2) MPI_Irecv(in, 3, type, left(), 1, MPI_COMM_WORLD, &receive);
    MPI_Isend(out, 1, front, right(), 1, MPI_COMM_WORLD, &send);
    MPI_Type_free(&front);
    if (round % 2 == 0) MPI_Irecv(in, 3, type, left(), 1, MPI_COMM_WORLD, &receive);
    MPI_Wait(&receive, &status);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    int count = -1, elements = -1;
    MPI_Get_count(&status, type, &count);
    MPI_Get_elements(&status, type, &elements);
    CHECK_EQ(count, MPI_UNDEFINED);
    CHECK_EQ(elements, 8);
    CHECK(in[0] == out[0]);
    Particle expected = particle(91);
    expected.mass = out[1].mass;
    expected.id = out[1].id;
    CHECK(in[1] == expected);
    CHECK(in[2] == particle(92));
  }
  MPI_Type_free(&type);
}

TEST_CASE(absolute_addresses) {
  for (const int n : {3, 30'000}) {
    std::vector<int> out_ints = numbers(n, 1), in_ints(out_ints.size());
    std::vector<double> out_doubles(10, 2.5 + comm_rank()), in_doubles(10);
    const auto make = [n](std::vector<int>& ints, std::vector<double>& doubles) {
      const int lengths[2] = {n, 10};
      MPI_Aint places[2];
      MPI_Get_address(ints.data(), &places[0]);
      MPI_Get_address(doubles.data(), &places[1]);
      const MPI_Datatype types[2] = {MPI_INT, MPI_DOUBLE};
      MPI_Datatype type;
      MPI_Type_create_struct(2, lengths, places, types, &type);
      MPI_Type_commit(&type);
      return type;
    };
    MPI_Datatype out_type = make(out_ints, out_doubles), in_type = make(in_ints, in_doubles);
    MPI_Request requests[2];
    for (int i = 0; i < 5; ++i) {
      std::fill(in_ints.begin(), in_ints.end(), 0);
      MPI_Irecv(MPI_BOTTOM, 1, in_type, MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, &requests[0]);
      MPI_Isend(MPI_BOTTOM, 1, out_type, right(), 1, MPI_COMM_WORLD, &requests[1]);
      MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
      CHECK_EQ(in_ints, out_ints);
      CHECK_EQ(in_doubles, std::vector<double>(10, 2.5 + left()));
      MPI_Sendrecv(MPI_BOTTOM, 1, out_type, right(), 2, MPI_BOTTOM, 1, in_type, left(), 2,
                   MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      MPI_Barrier(MPI_COMM_WORLD);
    }
    MPI_Type_free(&out_type);
    MPI_Type_free(&in_type);
  }
}

TEST_CASE(packed_on_either_side) {
  for (int round = 0; round < 10; ++round) {
    const std::vector<int> out = numbers(20, round);
    std::vector<int> in(20);
    std::vector<char> packed(200), received(200);
    int position = 0;
    MPI_Pack(out.data(), 20, MPI_INT, packed.data(), 200, &position, MPI_COMM_WORLD);
    MPI_Request send;
    MPI_Status status;
    MPI_Isend(packed.data(), position, MPI_PACKED, right(), 1, MPI_COMM_WORLD, &send);
    MPI_Recv(in.data(), 20, MPI_INT, left(), 1, MPI_COMM_WORLD, &status);
    CHECK_STATUS(status, left(), 1, MPI_INT, 20);
    CHECK_EQ(in, out);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    MPI_Isend(out.data(), 20, MPI_INT, right(), 2, MPI_COMM_WORLD, &send);
    MPI_Recv(received.data(), 200, MPI_PACKED, left(), 2, MPI_COMM_WORLD, &status);
    int bytes = 0;
    MPI_Get_count(&status, MPI_PACKED, &bytes);
    position = 0;
    in.assign(20, 0);
    MPI_Unpack(received.data(), bytes, &position, in.data(), 20, MPI_INT, MPI_COMM_WORLD);
    CHECK_EQ(in, out);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
  }
}

TEST_CASE(types_freed_while_many_are_pending) {
  constexpr int kCount = 40, kInts = 6;
  std::vector<std::vector<int>> in(kCount, std::vector<int>(kInts * 5 + 8, -3)), out;
  std::vector<MPI_Request> receives(kCount), sends(kCount);
  for (int i = 0; i < kCount; ++i) {
    const Layout& layout = kLayouts[1 + i % 6];
    MPI_Datatype type = layout.make(kInts);
    MPI_Type_commit(&type);
    MPI_Irecv(in[i].data(), layout.elements ? 1 : kInts, type, left(), i, MPI_COMM_WORLD,
              &receives[i]);
    MPI_Type_free(&type);
  }
  for (int i = kCount - 1; i >= 0; --i) {
    int token = i;
    MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), 99, left(), 99, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE);
    out.push_back(numbers(kInts, i));
    MPI_Isend(out.back().data(), kInts, MPI_INT, right(), i, MPI_COMM_WORLD, &sends[i]);
  }
  MPI_Waitall(kCount, receives.data(), MPI_STATUSES_IGNORE);
  MPI_Waitall(kCount, sends.data(), MPI_STATUSES_IGNORE);
  for (int i = 0; i < kCount; ++i) {
    CHECK_EQ(in[i], laid_out(kLayouts[1 + i % 6], numbers(kInts, i)));
  }
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
