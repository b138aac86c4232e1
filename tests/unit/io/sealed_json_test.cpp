#include "io/sealed_json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cairn::io {
namespace {

const nlohmann::ordered_json document = {
    {"format_version", 1}, {"name", "x"}, {"n", 18446744073709551615u}};

TEST(Manifest, RoundTrips) {
  const auto result = unseal(seal(document), "M.json");
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ((*result)["n"], 18446744073709551615u);
  EXPECT_FALSE(result->contains("checksum"));
}

TEST(Manifest, IsJson) {
  const auto parsed = nlohmann::json::parse(seal(document));
  EXPECT_EQ(parsed["checksum"].get<std::string>().size(), 16u);
}

TEST(Manifest, RejectsTornTail) {
  const std::string text = seal(document);
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_EQ(unseal(text.substr(0, length), "M.json").status().code(), Code::corruption);
  }
  EXPECT_EQ(unseal(text + "\n", "M.json").status().code(), Code::corruption);
}

TEST(Manifest, RejectsEveryOtherByte) {
  const std::string text = seal(document);
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = text;
      changed[i] = static_cast<char>(value);
      if (changed == text) continue;
      ASSERT_EQ(unseal(changed, "M.json").status().code(), Code::corruption) << i << " " << value;
    }
  }
}

TEST(Manifest, NewerVersionIsUnsupported) {
  nlohmann::ordered_json newer = document;
  newer["format_version"] = 7;
  const auto result = unseal(seal(newer), "M.json");
  EXPECT_EQ(result.status().code(), Code::unsupported);
  EXPECT_THAT(result.status().message(), testing::HasSubstr("format version 7"));
  EXPECT_THAT(result.status().message(), testing::HasSubstr("versions up to 3"));
  newer["format_version"] = "x";
  EXPECT_EQ(unseal(seal(newer), "M.json").status().code(), Code::corruption);
}

TEST(Manifest, SurvivesDeepNesting) {
  const std::string deep = "{\"a\": " + std::string(100000, '[');
  EXPECT_FALSE(unseal(deep, "M.json").ok());
}

}  // namespace
}  // namespace cairn::io
