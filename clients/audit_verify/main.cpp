// palyra-audit-verify --key FILE|HEX [--witness FILE] [--segments DIR] [--quiet] EXPORT
#include "clients/audit_verify/export_check.h"
#include "clients/audit_verify/segment_files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <utility>
#include <vector>

namespace palyra::audit_verify {
namespace {

enum ExitCode {
  kVerified = 0,
  kNotVerified = 1,
  kIncomplete = 2,
  kUsage = 64,
  kNoInput = 66,
  kIo = 74
};

constexpr char kHelp[] =
    "palyra-audit-verify --key FILE|HEX [--witness FILE] [--segments DIR] [--quiet] EXPORT\n\n"
    "Verifies what `palyra audit export` wrote, with the public key only.\n\n"
    "  --key      public key: hex, or a file with hex or PEM; may be given again for older keys\n"
    "  --witness  a file of lines that `palyra audit witness` printed and you kept elsewhere;\n"
    "             the last one counts\n"
    "  --segments directory of archived segments, <digest>.ndjson.gz: those that the export lacks\n"
    "             are read from there; may be given again\n"
    "  --quiet    only what is wrong or missing\n"
    "  EXPORT     the file; - reads standard input\n\n"
    "Example:\n  palyra-audit-verify --key audit.pub --witness witness.json export.ndjson\n\n"
    "Exit codes: 0 verified, 1 not verified, 2 what is there verifies but archived records are\n"
    "missing, 64 usage, 66 a file cannot be read, 74 the verdict cannot be written.\n";

struct Arguments {
  std::set<std::string> keys;
  std::optional<Link> witness;
  std::vector<std::string> segments;
  std::string file;
  bool quiet = false;
};

int complain(const std::string& words, int code) {
  std::fprintf(stderr, "palyra-audit-verify: %s\n", words.c_str());
  return code;
}

// Why it cannot be read; empty if it can. Opened once: it may be a pipe.
std::string open_file(const std::string& path, std::ifstream& file) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return "it is a directory";
  errno = 0;
  file.open(path, std::ios::binary);
  return file ? "" : std::strerror(errno);
}

// The last 64 KiB of a file, of a pipe the first. `why`: it cannot be read.
std::optional<std::string> read_small(const std::string& path, std::string& why) {
  constexpr std::streamoff kMost = 64 << 10;
  std::ifstream file;
  why = open_file(path, file);
  if (!why.empty()) return {};
  if (file.seekg(0, std::ios::end)) {
    file.seekg(std::max<std::streamoff>(0, std::streamoff{file.tellg()} - kMost));
  }
  file.clear();
  std::string text(kMost, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

// Control characters of a hostile file never reach the terminal.
std::string printable(std::string text) {
  for (char& c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x20 || byte >= 0x7F) c = '?';
  }
  return text;
}

int add_key(const std::string& word, Arguments& out) {
  auto key = parse_key(word);
  if (!key) {
    std::string why;
    const auto text = read_small(word, why);
    if (!text) {
      return complain(
          "the key " + word + " is neither 64 hex digits nor a file that can be read: " + why,
          kNoInput);
    }
    key = parse_key(*text);
  }
  if (!key) return complain(word + " holds no Ed25519 public key, in hex or PEM", kNoInput);
  out.keys.insert(*key);
  return 0;
}

// People collect witnesses with >>: the newest is the last.
int add_witness(const std::string& path, Arguments& out) {
  std::string why;
  const auto text = read_small(path, why);
  if (!text) return complain("cannot read " + path + ": " + why, kNoInput);
  const size_t end = text->find_last_not_of(" \t\r\n") + 1;
  const size_t newline = end == 0 ? std::string::npos : text->find_last_of('\n', end - 1);
  const size_t begin = newline == std::string::npos ? 0 : newline + 1;
  out.witness = read_witness(text->substr(begin, end - begin));
  if (out.witness) return 0;
  return complain(
      "the last line of " + path + " is no witness: expected what `palyra audit witness` prints",
      kNoInput);
}

int parse(int argc, char** argv, Arguments& out) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--help" || word == "-h") {
      std::fputs(kHelp, stdout);
      std::exit(0);
    }
    if (word == "--quiet" || word == "-q") {
      out.quiet = true;
    } else if (word == "--key" || word == "--witness") {
      if (++i == argc) return complain(word + " needs a value", kUsage);
      const int code = word == "--key" ? add_key(argv[i], out) : add_witness(argv[i], out);
      if (code != 0) return code;
    } else if (word == "--segments") {
      if (++i == argc) return complain(word + " needs a value", kUsage);
      std::error_code ignored;
      if (!std::filesystem::is_directory(argv[i], ignored)) {
        return complain(std::string(argv[i]) + " is not a directory of archived segments",
                        kNoInput);
      }
      out.segments.emplace_back(argv[i]);
    } else if (word.size() > 1 && word[0] == '-') {
      return complain("there is no option " + word + "; see --help", kUsage);
    } else if (!out.file.empty()) {
      return complain("one export at a time; see --help", kUsage);
    } else {
      out.file = word;
    }
  }
  if (out.file.empty() || out.keys.empty()) {
    return complain("needs --key and the export; see --help", kUsage);
  }
  return 0;
}

// Line by line with bounded memory: what is longer than any line is skipped and told.
void feed(std::istream& in, ExportCheck& check) {
  std::string line;
  bool too_long = false;
  char block[64 << 10];
  while (in.read(block, sizeof block) || in.gcount() > 0) {
    std::string_view rest(block, static_cast<size_t>(in.gcount()));
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      const std::string_view part = rest.substr(0, end);
      if (line.size() + part.size() <= kMaxLine) {
        line += part;
      } else {
        too_long = true;
      }
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + 1);
      if (std::exchange(too_long, false)) {
        check.skip_line();
      } else {
        check.add_line(line);
      }
      line.clear();
    }
  }
  if (too_long) return check.skip_line();
  if (!line.empty()) check.add_line(line);
}

std::string time_of(int64_t ms) {
  const std::time_t seconds = ms / 1000;
  std::tm parts{};
  char text[32] = "";
  if (::gmtime_r(&seconds, &parts) != nullptr) {
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  }
  return text;
}

void print(const ExportCheck::Verdict& verdict, bool quiet) {
  const std::string name = printable(verdict.stream);
  if (!verdict.ok) {
    std::printf("BROKEN  %s: record %llu %s\n", name.c_str(),
                static_cast<unsigned long long>(verdict.bad_seq),
                printable(verdict.reason).c_str());
    return;
  }
  if (quiet && verdict.missing == 0) return;
  std::string more;
  if (verdict.erased > 0) more += ", " + std::to_string(verdict.erased) + " erased";
  if (verdict.archived > 0) more += ", " + std::to_string(verdict.archived) + " archived";
  if (verdict.missing > 0) more += ", " + std::to_string(verdict.missing) + " MISSING";
  if (verdict.unproven > 0) more += ", " + std::to_string(verdict.unproven) + " UNPROVEN";
  std::printf("%s  %s: records %llu to %llu%s, checkpoint %llu\n",
              verdict.missing > 0 ? "PARTIAL" : "ok    ", name.c_str(),
              static_cast<unsigned long long>(verdict.first),
              static_cast<unsigned long long>(verdict.last), more.c_str(),
              static_cast<unsigned long long>(verdict.checkpoint));
  for (const std::string& file : verdict.missing_files) {
    std::printf("        lacks the archived file %s\n", file.c_str());
  }
}

int conclude(const ExportCheck::Summary& summary, bool quiet) {
  if (summary.given_up) {
    std::printf("NOT VERIFIED: nothing was looked at without the key\n");
    return kNotVerified;
  }
  if (!quiet) {
    std::printf("This export is of %s.\n", printable(summary.selection).c_str());
    for (const std::string& words : summary.notes) std::printf("Note: %s.\n", words.c_str());
  }
  if (!summary.ok()) {
    std::printf("NOT VERIFIED: %llu of %llu streams are broken, %llu problems with the export\n",
                static_cast<unsigned long long>(summary.broken),
                static_cast<unsigned long long>(summary.streams),
                static_cast<unsigned long long>(summary.problems));
    return kNotVerified;
  }
  if (summary.missing > 0) {
    std::printf(
        "INCOMPLETE: %llu archived records are missing, so nothing is proven about them; find "
        "their files and give them with --segments DIR. ",
        static_cast<unsigned long long>(summary.missing));
    if (summary.unproven > 0) {
      std::printf("Of %llu records in front of them nothing is proven either. ",
                  static_cast<unsigned long long>(summary.unproven));
    }
    std::printf("What else is there verifies.\n");
  }
  std::printf(
      "%s: %llu records of %llu streams, %llu erased, %llu from archived files; up to checkpoint "
      "%llu of %s\n",
      summary.missing > 0 ? "VERIFIED IN PART" : "VERIFIED",
      static_cast<unsigned long long>(summary.records),
      static_cast<unsigned long long>(summary.streams),
      static_cast<unsigned long long>(summary.erased),
      static_cast<unsigned long long>(summary.archived),
      static_cast<unsigned long long>(summary.newest ? summary.newest->number : 0),
      time_of(summary.newest ? summary.newest->time_ms : 0).c_str());
  return summary.missing > 0 ? kIncomplete : kVerified;
}

int run(int argc, char** argv) {
  Arguments arguments;
  if (const int code = parse(argc, argv, arguments); code != 0) return code;
  std::ifstream file;
  if (arguments.file != "-") {
    if (const std::string why = open_file(arguments.file, file); !why.empty()) {
      return complain("cannot read " + arguments.file + ": " + why, kNoInput);
    }
  }
  std::istream& in = arguments.file == "-" ? std::cin : file;
  const SegmentFiles segments(arguments.segments);
  ExportCheck check(
      arguments.keys, arguments.witness,
      [&](const std::string& digest) { return segments.find(digest); },
      [&](const ExportCheck::Verdict& verdict) { print(verdict, arguments.quiet); },
      [](const std::string& words) { std::printf("BROKEN  %s\n", printable(words).c_str()); });
  feed(in, check);
  if (in.bad()) return complain("cannot read " + arguments.file + " to its end", kNoInput);
  const int code = conclude(check.finish(), arguments.quiet);
  // What nobody could read is no verdict.
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return complain(std::string("cannot write the verdict: ") + std::strerror(errno), kIo);
  }
  return code;
}

}  // namespace
}  // namespace palyra::audit_verify

int main(int argc, char** argv) { return palyra::audit_verify::run(argc, argv); }
