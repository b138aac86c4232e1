// Attribute callbacks: once for each copy and once for each deletion, with the program's handles.
#include "check.hpp"

using namespace conformance;

namespace {

struct Calls {
  int copies = 0, deletes = 0;
  MPI_Comm copied_from = MPI_COMM_NULL, deleted_on = MPI_COMM_NULL;
};

int copy(MPI_Comm comm, int, void* extra, void* in, void* out, int* flag) {
  Calls& calls = *static_cast<Calls*>(extra);
  ++calls.copies;
  calls.copied_from = comm;
  *static_cast<void**>(out) = static_cast<char*>(in) + 1;
  *flag = 1;
  return MPI_SUCCESS;
}

int copy_not(MPI_Comm, int, void* extra, void*, void*, int* flag) {
  ++static_cast<Calls*>(extra)->copies;
  *flag = 0;
  return MPI_SUCCESS;
}

int destroy(MPI_Comm comm, int, void*, void* extra) {
  Calls& calls = *static_cast<Calls*>(extra);
  ++calls.deletes;
  calls.deleted_on = comm;
  return MPI_SUCCESS;
}

char base[100];

/// The attribute's distance from `base`, -1 when there is none.
int value(MPI_Comm comm, int key) {
  void* found = nullptr;
  int flag = 0;
  MPI_Comm_get_attr(comm, key, &found, &flag);
  return flag ? static_cast<int>(static_cast<char*>(found) - base) : -1;
}

void some_traffic() {
  for (int i = 0; i < 12; ++i) {
    int token = i;
    MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), 0, left(), 0, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE);
  }
}

}  // namespace

TEST_CASE(copied_once_by_dup_and_deleted_once_by_free) {
  Calls calls;
  int key = 0;
  MPI_Comm_create_keyval(copy, destroy, &key, &calls);
  MPI_Comm first, second;
  MPI_Comm_dup(MPI_COMM_WORLD, &first);
  CHECK_EQ(calls.copies, 0);
  MPI_Comm_set_attr(first, key, base);
  some_traffic();
  CHECK_EQ(calls.copies + calls.deletes, 0);
  MPI_Comm_dup(first, &second);
  CHECK_EQ(calls.copies, 1);
  CHECK(calls.copied_from == first);
  CHECK_EQ(value(first, key), 0);
  CHECK_EQ(value(second, key), 1);
  some_traffic();
  const MPI_Comm freed = first;
  MPI_Comm_free(&first);
  CHECK_EQ(calls.deletes, 1);
  CHECK(calls.deleted_on == freed);
  CHECK_EQ(value(second, key), 1);
  some_traffic();
  MPI_Comm_disconnect(&second);
  CHECK_EQ(calls.deletes, 2);
  CHECK_EQ(calls.copies, 1);
  MPI_Comm_free_keyval(&key);
  CHECK_EQ(key, MPI_KEYVAL_INVALID);
}

TEST_CASE(dup_with_info_and_idup_copy_too) {
  Calls calls;
  int key = 0;
  MPI_Comm_create_keyval(copy, destroy, &key, &calls);
  MPI_Comm first, second, third;
  MPI_Comm_dup(MPI_COMM_WORLD, &first);
  MPI_Comm_set_attr(first, key, base);
  MPI_Comm_dup_with_info(first, MPI_INFO_NULL, &second);
  CHECK_EQ(calls.copies, 1);
  MPI_Request request;
  MPI_Comm_idup(second, &third, &request);
  some_traffic();
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  CHECK_EQ(calls.copies, 2);
  CHECK_EQ(value(third, key), 2);
  for (MPI_Comm* comm : {&third, &second, &first}) MPI_Comm_free(comm);
  CHECK_EQ(calls.deletes, 3);
  MPI_Comm_free_keyval(&key);
}

TEST_CASE(other_constructors_do_not_copy) {
  Calls calls;
  int key = 0;
  MPI_Comm_create_keyval(copy, destroy, &key, &calls);
  MPI_Comm parent, made;
  MPI_Comm_dup(MPI_COMM_WORLD, &parent);
  MPI_Comm_set_attr(parent, key, base);
  MPI_Comm_split(parent, 0, 0, &made);
  CHECK_EQ(value(made, key), -1);
  MPI_Comm_free(&made);
  MPI_Group group;
  MPI_Comm_group(parent, &group);
  MPI_Comm_create(parent, group, &made);
  CHECK_EQ(value(made, key), -1);
  MPI_Comm_free(&made);
  MPI_Group_free(&group);
  CHECK_EQ(calls.copies + calls.deletes, 0);
  MPI_Comm_free(&parent);
  CHECK_EQ(calls.deletes, 1);
  MPI_Comm_free_keyval(&key);
}

TEST_CASE(set_again_and_deleted_by_hand) {
  Calls calls;
  int key = 0;
  MPI_Comm_create_keyval(MPI_COMM_DUP_FN, destroy, &key, &calls);
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Comm_set_attr(comm, key, base + 5);
  MPI_Comm_set_attr(comm, key, base + 6);  // deletes the first
  CHECK_EQ(calls.deletes, 1);
  CHECK_EQ(value(comm, key), 6);
  some_traffic();
  MPI_Comm_delete_attr(comm, key);
  CHECK_EQ(calls.deletes, 2);
  CHECK_EQ(value(comm, key), -1);
  MPI_Comm_free(&comm);
  CHECK_EQ(calls.deletes, 2);
  MPI_Comm_free_keyval(&key);
}

TEST_CASE(a_copy_function_may_say_no) {
  Calls calls;
  int key = 0, other = 0;
  MPI_Comm_create_keyval(copy_not, destroy, &key, &calls);
  MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &other, nullptr);
  MPI_Comm first, second;
  MPI_Comm_dup(MPI_COMM_WORLD, &first);
  MPI_Comm_set_attr(first, key, base);
  MPI_Comm_set_attr(first, other, base + 3);
  MPI_Comm_dup(first, &second);
  CHECK_EQ(calls.copies, 1);
  CHECK_EQ(value(second, key), -1);
  CHECK_EQ(value(second, other), -1);
  CHECK_EQ(value(first, other), 3);
  MPI_Comm_free(&second);
  CHECK_EQ(calls.deletes, 0);
  MPI_Comm_free(&first);
  CHECK_EQ(calls.deletes, 1);
  MPI_Comm_free_keyval(&key);
  MPI_Comm_free_keyval(&other);
}

TEST_CASE(a_freed_keyval_lives_while_attributes_do) {
  Calls calls;
  int key = 0;
  MPI_Comm_create_keyval(copy, destroy, &key, &calls);
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Comm_set_attr(comm, key, base);
  MPI_Comm_free_keyval(&key);
  some_traffic();
  CHECK_EQ(calls.deletes, 0);
  MPI_Comm_free(&comm);
  CHECK_EQ(calls.deletes, 1);
}

TEST_CASE(the_worlds_own_attributes) {
  int* seen = nullptr;
  int flag = 0;
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &seen, &flag);
  CHECK(flag && *seen >= 32'767);
  Calls calls;
  int key = 0;
  MPI_Comm_create_keyval(copy, destroy, &key, &calls);
  MPI_Comm_set_attr(MPI_COMM_WORLD, key, base);
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  CHECK_EQ(calls.copies, 1);
  CHECK_EQ(value(comm, key), 1);
  some_traffic();
  MPI_Comm_free(&comm);
  MPI_Comm_delete_attr(MPI_COMM_WORLD, key);
  CHECK_EQ(calls.deletes, 2);
  MPI_Comm_free_keyval(&key);
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
