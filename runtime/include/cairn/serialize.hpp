// Session::serialize: objects saved through Boost.Serialization's binary archives.
#pragma once

#include <boost/archive/binary_iarchive.hpp>
#include <boost/archive/binary_oarchive.hpp>
#include <boost/iostreams/device/array.hpp>
#include <boost/iostreams/device/back_inserter.hpp>
#include <boost/iostreams/stream.hpp>

#include <cairn/session.hpp>

namespace cairn {

// A restart may load an object twice, when the newest checkpoint turns out to be damaged: a load
// function of the program's own must replace the content, as those of Boost do, not add to it.
template <class T>
void Session::serialize(std::string_view name, T& object) {
  namespace bio = boost::iostreams;
  protect_object(
      name,
      [&object](std::vector<std::byte>& bytes) {
        std::vector<char> buffer;
        {
          bio::stream<bio::back_insert_device<std::vector<char>>> stream{buffer};
          boost::archive::binary_oarchive archive{stream};
          const T& saved = object;
          archive << saved;
        }
        const auto view = std::as_bytes(std::span{buffer});
        bytes.assign(view.begin(), view.end());
      },
      [&object](std::span<const std::byte> bytes) {
        const auto* data = reinterpret_cast<const char*>(bytes.data());
        bio::stream<bio::array_source> stream{data, bytes.size()};
        boost::archive::binary_iarchive archive{stream};
        archive >> object;
      });
}

}  // namespace cairn
