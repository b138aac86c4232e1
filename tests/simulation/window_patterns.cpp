#include "tests/simulation/window_patterns.hpp"

#include <mpi.h>

#include <algorithm>
#include <cstddef>

namespace cairn::window_simulation {
namespace {

static_assert(any_source == MPI_ANY_SOURCE && any_tag == MPI_ANY_TAG);

using simulation::Random;

bool accepts(const Pattern& pattern, const Envelope& message) {
  return (pattern.source == any_source || pattern.source == message.source) &&
         (pattern.tag == any_tag || pattern.tag == message.tag);
}

/// One that accepts some of the messages.
Pattern random_pattern(Random& random, const std::vector<Envelope>& messages, double wide) {
  const auto chosen = static_cast<std::size_t>(random.below(static_cast<int>(messages.size())));
  Pattern pattern{messages[chosen].source, messages[chosen].tag};
  if (random.chance(wide)) pattern.source = any_source;
  if (random.chance(wide)) pattern.tag = any_tag;
  return pattern;
}

/// Both sides are served in order. Empty when a receive would stay without a message.
std::vector<PatternFor> matched(const std::vector<Pattern>& patterns,
                                const std::vector<Envelope>& messages) {
  std::vector<PatternFor> result;
  std::vector<bool> taken(messages.size());
  for (const Pattern& pattern : patterns) {
    std::size_t i = 0;
    while (i < messages.size() && (taken[i] || !accepts(pattern, messages[i]))) ++i;
    if (i == messages.size()) return {};
    taken[i] = true;
    result.push_back({pattern, i + 1});
  }
  return result;
}

/// A receive gets a message when it accepts more than the receives before it can take away; those
/// that are posted after it can take none that it accepts while it waits.
bool gets_one(const Pattern& pattern, const std::vector<Pattern>& before,
              const std::vector<Envelope>& messages) {
  const auto wanted = [&](const Envelope& message) { return accepts(pattern, message); };
  const auto accepted = std::count_if(messages.begin(), messages.end(), wanted);
  const auto rivals = std::count_if(before.begin(), before.end(), [&](const Pattern& rival) {
    return std::any_of(messages.begin(), messages.end(), [&](const Envelope& message) {
      return wanted(message) && accepts(rival, message);
    });
  });
  return accepted > rivals;
}

}  // namespace

std::vector<PatternFor> patterns_for_one_source(Random& random,
                                                const std::vector<Envelope>& messages) {
  const double wide = random.pick({0.3, 0.5, 0.7});
  for (int attempt = 0; attempt < 30; ++attempt) {
    std::vector<Pattern> patterns;
    for (std::size_t i = 0; i < messages.size(); ++i) {
      patterns.push_back(random_pattern(random, messages, wide));
    }
    const std::vector<PatternFor> result = matched(patterns, messages);
    if (!result.empty()) return result;
  }
  const Pattern any{messages.front().source, any_tag};
  return matched(std::vector<Pattern>(messages.size(), any), messages);
}

std::vector<PatternFor> patterns_for_all(Random& random, const std::vector<Envelope>& messages) {
  const double wide = random.pick({0.2, 0.4, 0.6});
  std::vector<Pattern> patterns;
  std::vector<PatternFor> result;
  while (patterns.size() < messages.size()) {
    Pattern pattern{any_source, any_tag};
    for (int attempt = 0; attempt < 6; ++attempt) {
      const Pattern candidate = random_pattern(random, messages, wide);
      if (!gets_one(candidate, patterns, messages)) continue;
      pattern = candidate;
      break;
    }
    patterns.push_back(pattern);
    result.push_back({pattern, messages.size()});
  }
  return result;
}

}  // namespace cairn::window_simulation
