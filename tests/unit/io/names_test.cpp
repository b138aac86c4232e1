#include "io/names.hpp"

#include <gtest/gtest.h>

#include "io/records.hpp"

namespace cairn::io {
namespace {

TEST(Names, EpochDirectoriesRoundTrip) {
  EXPECT_EQ(epoch_directory_name(12), "epoch-00000012");
  for (const std::uint64_t epoch : {0ul, 12ul, 99999999ul, 100000000ul, ~0ul}) {
    EXPECT_EQ(parse_epoch_directory_name(epoch_directory_name(epoch)), epoch);
  }
}

TEST(Names, OtherNamesAreNoEpochs) {
  for (const char* name : {"", "epoch-", "epoch-12", "epoch-0000001x", "epoch-000000012",
                           "epoch--0000001", "epoch-99999999999999999999999", ".tmp-epoch-00000012",
                           "epoch-00000012 ", "epoch-+0000001"}) {
    EXPECT_FALSE(parse_epoch_directory_name(name)) << name;
  }
}

TEST(Names, LinkNamesAreOnePathComponent) {
  EXPECT_EQ(encode_link_name("temperature"), "temperature");
  EXPECT_EQ(encode_link_name("a/b"), "a%2Fb");
  EXPECT_EQ(encode_link_name("50%"), "50%25");
  EXPECT_EQ(encode_link_name("."), "%2E");
  EXPECT_EQ(encode_link_name(".."), "%2E%2E");
  EXPECT_EQ(encode_link_name(".hidden"), ".hidden");
  EXPECT_EQ(encode_link_name("a\nb"), "a%0Ab");
  EXPECT_EQ(encode_link_name("é"), "é");
  EXPECT_EQ(encode_link_name("\xff\xc3"), "%FF%C3");
  EXPECT_EQ(encode_link_name("\xed\xa0\x80"), "%ED%A0%80");  // a surrogate is not UTF-8
  EXPECT_NE(encode_link_name("%2F"), encode_link_name("/"));
}

TEST(Names, SerializedObjectsHaveTheirOwnGroup) {
  EXPECT_EQ(dataset_path({"u", ElementType::float64, 8, {}}), "/regions/u");
  EXPECT_EQ(dataset_path({"u", ElementType::serialized, 1, {}}), "/objects/u");
}

}  // namespace
}  // namespace cairn::io
