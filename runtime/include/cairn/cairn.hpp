// Cairn's C++ interface. Add <cairn/serialize.hpp> for Session::serialize.
#pragma once

#include <cairn/session.hpp>  // IWYU pragma: export
