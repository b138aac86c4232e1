#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <cairn/element_type.hpp>
#include <cairn/status.hpp>

namespace cairn {
namespace {

TEST(Status, IsOkByDefault) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_TRUE(status);
  EXPECT_EQ(status.code(), Code::ok);
  EXPECT_EQ(status.message(), "");
}

TEST(Status, KeepsCodeAndMessage) {
  const Status status{Code::busy, "an epoch is being written"};
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(status);
  EXPECT_EQ(status.code(), Code::busy);
  EXPECT_EQ(status.message(), "an epoch is being written");
}

TEST(Status, EveryCodeHasItsOwnName) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(Code::busy); ++i) {
    names.insert(code_name(static_cast<Code>(i)));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(Code::busy) + 1);
  EXPECT_THAT(names, testing::Not(testing::Contains("unknown")));
  EXPECT_EQ(code_name(static_cast<Code>(99)), "unknown");
}

TEST(Result, HoldsAValue) {
  Result<std::string> result{std::string{"epoch"}};
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result.status().ok());
  EXPECT_EQ(*result, "epoch");
  EXPECT_EQ(result->size(), 5U);
  result.value() += "s";
  EXPECT_EQ(std::as_const(result).value(), "epochs");
}

TEST(Result, HoldsAFailure) {
  const Result<int> result{Status{Code::not_found, "no epoch 3"}};
  EXPECT_FALSE(result.ok());
  EXPECT_FALSE(result);
  EXPECT_EQ(result.status().code(), Code::not_found);
  EXPECT_EQ(result.status().message(), "no epoch 3");
}

TEST(Result, MovesWhatCanNotBeCopied) {
  Result<std::unique_ptr<int>> result{std::make_unique<int>(7)};
  const std::unique_ptr<int> owner = std::move(*result);
  EXPECT_EQ(*owner, 7);
}

TEST(ElementType, FollowsSizeAndSign) {
  EXPECT_EQ(element_type_of<signed char>(), ElementType::int8);
  EXPECT_EQ(element_type_of<unsigned short>(), ElementType::uint16);
  EXPECT_EQ(element_type_of<int>(), ElementType::int32);
  EXPECT_EQ(element_type_of<long>(), ElementType::int64);
  EXPECT_EQ(element_type_of<std::size_t>(), ElementType::uint64);
  EXPECT_EQ(element_type_of<float>(), ElementType::float32);
  EXPECT_EQ(element_type_of<double>(), ElementType::float64);
}

TEST(ElementType, IsOpaqueForEverythingElse) {
  struct Particle {
    double x, y;
  };
  EXPECT_EQ(element_type_of<Particle>(), ElementType::opaque);
  EXPECT_EQ(element_type_of<bool>(), ElementType::opaque);
}

TEST(ElementType, HasAName) {
  EXPECT_EQ(element_type_name(ElementType::int8), "int8");
  EXPECT_EQ(element_type_name(ElementType::float64), "float64");
  EXPECT_EQ(element_type_name(ElementType::serialized), "serialized");
  EXPECT_EQ(element_type_name(static_cast<ElementType>(200)), "unknown");
}

}  // namespace
}  // namespace cairn
