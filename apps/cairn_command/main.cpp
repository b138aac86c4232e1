// cairn: looks at the checkpoints in a directory, and merges them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "commands.hpp"
#include "io/names.hpp"

namespace cairn::command {
namespace {

struct Arguments {
  std::string directory;            // or the first epoch
  std::vector<std::string> epochs;  // all of them for `verify`, at most one for `show`
  std::string output;               // of `export`
  bool json = false;
};

struct Selection {
  std::filesystem::path directory;
  std::vector<std::uint64_t> epochs;
};

std::filesystem::path default_directory() {
  const char* value = std::getenv("CAIRN_DIR");
  return value != nullptr && *value != '\0' ? value : "cairn";
}

std::optional<std::uint64_t> parse_epoch(const std::string& text) {
  std::uint64_t epoch = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), epoch);
  if (error == std::errc{} && end == text.data() + text.size()) return epoch;
  return io::parse_epoch_directory_name(text);
}

[[noreturn]] void fail(const std::string& message) {
  fmt::print(stderr, "cairn: error: {}\n", message);
  std::exit(usage);
}

/// The first word is the directory, unless it is an epoch and no such directory exists: then it is
/// meant for the default directory.
Selection select(const Arguments& arguments) {
  Selection selection{default_directory(), {}};
  std::vector<std::string> words = arguments.epochs;
  std::error_code error;
  if (const std::string& first = arguments.directory; !first.empty()) {
    if (!parse_epoch(first) || std::filesystem::is_directory(first, error)) {
      selection.directory = first;
    } else {
      words.insert(words.begin(), first);
    }
  }
  for (const std::string& word : words) {
    const auto epoch = parse_epoch(word);
    if (!epoch) fail(fmt::format("'{}' is not an epoch", word));
    selection.epochs.push_back(*epoch);
  }
  if (!std::filesystem::is_directory(selection.directory, error)) {
    fail(fmt::format("there is no directory {} (set CAIRN_DIR, or name it)",
                     selection.directory.native()));
  }
  const auto known = io::Store{selection.directory}.epochs();
  for (const std::uint64_t epoch : selection.epochs) {
    if (!std::binary_search(known.begin(), known.end(), epoch)) {
      fail(fmt::format("there is no epoch {} in {}", epoch, selection.directory.native()));
    }
  }
  return selection;
}

std::uint64_t newest_epoch(const io::Store& store) {
  const auto epochs = store.epochs();
  if (epochs.empty()) {
    fail(fmt::format("there are no checkpoints in {}", store.directory().native()));
  }
  return epochs.back();
}

CLI::App* add_command(CLI::App& app, const char* name, const char* description,
                      Arguments& arguments) {
  CLI::App* command = app.add_subcommand(name, description);
  command->add_option("DIR", arguments.directory, "Checkpoint directory");
  command->add_flag("--json", arguments.json, "Print JSON");
  return command;
}

int run(int argc, char** argv) {
  CLI::App app{
      "Looks at Cairn's checkpoints, and merges them. DIR is $CAIRN_DIR, or ./cairn, when not "
      "given.\n"
      "Exit status: 0 good, 1 damaged, 2 wrong usage.",
      "cairn"};
  app.set_version_flag("--version", std::string{"cairn "} + CAIRN_VERSION);
  app.require_subcommand(1);
  Arguments arguments;
  const CLI::App* list_command = add_command(app, "list", "List the checkpoints", arguments);
  CLI::App* show_command =
      add_command(app, "show", "Show what a checkpoint holds (default: the newest)", arguments);
  show_command->add_option("EPOCH", arguments.epochs, "Its number")->expected(0, 1);
  CLI::App* verify_command = add_command(
      app, "verify",
      "Check every byte, and that each checkpoint is a consistent global state (default: all)",
      arguments);
  verify_command->add_option("EPOCH", arguments.epochs, "Their numbers")->expected(0, -1);
  CLI::App* diff_command =
      add_command(app, "diff", "Show what changed from one checkpoint to another", arguments);
  diff_command->add_option("A B", arguments.epochs, "The two")->expected(1, 2);
  CLI::App* compact_command = app.add_subcommand(
      "compact",
      "Merge a checkpoint (default: the newest) with those that it builds on, while no job runs");
  compact_command->add_option("DIR", arguments.directory, "Checkpoint directory");
  compact_command->add_option("EPOCH", arguments.epochs, "Its number")->expected(0, 1);
  CLI::App* export_command = app.add_subcommand(
      "export", "Write a checkpoint, whatever it builds on, as one plain HDF5 file");
  export_command->add_option("DIR", arguments.directory, "Checkpoint directory")->required();
  std::string exported;
  export_command->add_option("EPOCH", exported, "Its number")->required();
  export_command->add_option("OUT", arguments.output, "The file; it must not exist")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? good : usage;
  }
  if (export_command->parsed()) arguments.epochs = {exported};
  const Selection selection = select(arguments);
  const io::Store store{selection.directory};
  if (list_command->parsed()) {
    if (!selection.epochs.empty()) fail("cairn list takes a directory only");
    return list(store, arguments.json);
  }
  if (show_command->parsed()) {
    if (selection.epochs.size() > 1) fail("cairn show takes one epoch");
    const auto& epochs = selection.epochs;
    return show(store, epochs.empty() ? std::nullopt : std::optional{epochs[0]}, arguments.json);
  }
  if (diff_command->parsed()) {
    if (selection.epochs.size() != 2) fail("cairn diff takes two epochs");
    return diff(store, selection.epochs[0], selection.epochs[1], arguments.json);
  }
  if (compact_command->parsed()) {
    if (selection.epochs.size() > 1) fail("cairn compact takes one epoch");
    return compact(store, selection.epochs.empty() ? newest_epoch(store) : selection.epochs[0]);
  }
  if (export_command->parsed()) {
    return export_epoch(store, selection.epochs.at(0), arguments.output);
  }
  return verify(store, selection.epochs, arguments.json);
}

}  // namespace

int report(const Status& status) {
  fmt::print(stderr, "cairn: error: {}\n", status.message());
  return status.code() == Code::invalid_argument ? usage : damaged;
}

}  // namespace cairn::command

int main(int argc, char** argv) {
  try {
    return cairn::command::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "cairn: error: {}\n", error.what());
    return cairn::command::damaged;
  }
}
