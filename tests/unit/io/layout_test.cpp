#include "io/layout.hpp"

#include <gtest/gtest.h>

#include "temporary_store.hpp"

namespace cairn::io {
namespace {

Amounts amounts_of(const std::vector<Entry>& entries, std::uint64_t elements) {
  Amounts amounts{entries.size()};
  for (std::size_t i = 0; i < entries.size(); ++i) amounts.elements(i) = elements + i;
  amounts[Amounts::ranks] = 4;
  amounts[Amounts::blocks] = 4 * entries.size();
  return amounts;
}

/// The data is written before the number of messages is known.
TEST(Layout, PlacesOfTheDataDoNotDependOnTheChannels) {
  for (const std::uint64_t elements : {0, 1, 300, 30000, 5000000}) {
    for (const int count : {0, 1, 7, 40}) {
      std::vector<Entry> entries;
      for (int i = 0; i < count; ++i) {
        entries.push_back({"entry " + std::to_string(i), ElementType::float64, 8, {}});
      }
      Amounts amounts = amounts_of(entries, elements);
      const auto early = Layout{entries, entries.size(), amounts}.make_image(sample_info(1),
                                                                             Layout::Content::data);
      ASSERT_TRUE(early.ok()) << early.status().message();
      for (const std::uint64_t in_flight : {0, 1, 1000, 1000000}) {
        amounts[Amounts::messages] = in_flight;
        amounts[Amounts::counters] = in_flight / 2;
        amounts[Amounts::payload] = in_flight * 100;
        amounts[Amounts::communicators] = in_flight / 100;
        const auto whole = Layout{entries, entries.size(), amounts}.make_image(
            sample_info(1), Layout::Content::everything);
        ASSERT_TRUE(whole.ok()) << whole.status().message();
        EXPECT_EQ(early->entry_offsets, whole->entry_offsets);
        EXPECT_LT(early->file.size(), whole->file.size());
      }
    }
  }
}

/// Metadata is written when others have written their data already.
TEST(StateFile, MetadataLeavesTheDataAlone) {
  const TemporaryDirectory directory;
  const std::vector<Entry> entries{{"x", ElementType::float64, 8, {}},
                                   {"y", ElementType::uint8, 1, {}}};
  const Amounts amounts = amounts_of(entries, 700);
  const auto image = Layout{entries, entries.size(), amounts}.make_image(
      sample_info(1), Layout::Content::everything);
  ASSERT_TRUE(image.ok());
  const auto path = directory.path() / "state.h5";
  ASSERT_TRUE(create_state_file(path, 1).ok());
  const std::string data(5600, '\x5a');
  const auto file = File::open(path, O_RDWR);
  ASSERT_TRUE(file.ok());
  const auto& x = image->datasets.at("/regions/x");
  ASSERT_EQ(x.bytes, data.size());
  ASSERT_TRUE(file->write_at(x.offset, std::as_bytes(std::span{data})).ok());
  ASSERT_TRUE(complete_state_file(path, *image, 1).ok());
  EXPECT_EQ(std::filesystem::file_size(path), image->file.size());
  std::string read(data.size(), ' ');
  ASSERT_TRUE(file->read_at(x.offset, std::as_writable_bytes(std::span{read})).ok());
  EXPECT_EQ(read, data);
  const auto index = scan_state(path);
  ASSERT_TRUE(index.ok()) << index.status().message();
  EXPECT_EQ(index->datasets, image->datasets);
}

}  // namespace
}  // namespace cairn::io
