#include "clients/cli/commands.h"
#include "clients/cli/connection.h"
#include "clients/cli/terminal.h"
#include "clients/cli/words.h"

#include <google/protobuf/util/json_util.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>

namespace palyra::cli {

namespace {

// Hands every entry of a tape to `each`, page by page.
int read_tape(Connection& connection, const std::string& id, bool session, bool json_only,
              const std::function<void(const api::TapeEntry&)>& each) {
  Progress progress("reading the tape");
  uint64_t from = 1;
  while (true) {
    api::ReadTapeRequest request;
    (session ? request.mutable_session_id() : request.mutable_run_id())->assign(id);
    request.set_from_seq(from);
    request.set_json_only(json_only);
    api::ReadTapeResponse response;
    auto context = connection.context();
    const auto status = connection.gateway().ReadTape(context.get(), request, &response);
    if (!status.ok()) return connection.explain(status);
    progress.alive();
    for (const auto& entry : response.entries()) each(entry);
    if (response.entries().empty()) return kExitOk;
    from = response.entries(response.entries_size() - 1).seq() + 1;
    if (from > response.head_seq()) return kExitOk;
  }
}

// The names of docs/audit-format.md, which are not those of the other commands' JSON.
std::string audit_json(const api::TapeEntry& entry) {
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(entry, &json);
  return json;
}

}  // namespace

int show_tape(const GlobalOptions& global, const std::string& id, bool session, bool payloads) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  bool first = true;
  const int code = read_tape(connection, id, session, true, [&](const api::TapeEntry& entry) {
    if (global.output != Output::kText) {
      if (global.output == Output::kJson) std::printf(first ? "[" : ",");
      first = false;
      std::printf("%s\n", to_json(entry, global.output == Output::kJson).c_str());
      return;
    }
    const std::string payload = entry.erased() ? "(erased)"
                                : payloads     ? printable(entry.payload_json())
                                               : shortened(entry.payload_json(), 100);
    std::printf("%s %s  %s  %s\n", styled(Style::kDim, std::to_string(entry.seq())).c_str(),
                local_time(entry.time_ns() / 1'000'000).c_str(),
                styled(Style::kBold, one_line(entry.type())).c_str(), payload.c_str());
  });
  if (global.output == Output::kJson && code == kExitOk) std::printf(first ? "[]\n" : "]\n");
  return code;
}

int export_tape(const GlobalOptions& global, const std::string& id, bool session,
                const std::string& file) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const std::string temporary = file + ".part";
  FILE* out = file.empty() ? stdout : std::fopen(temporary.c_str(), "we");
  if (out == nullptr) {
    return complain("cannot write " + temporary + ": " + std::strerror(errno), kExitCannotCreate);
  }
  uint64_t entries = 0;
  int code = read_tape(connection, id, session, false, [&](const api::TapeEntry& entry) {
    std::fprintf(out, "%s\n", audit_json(entry).c_str());
    ++entries;
  });
  if (file.empty()) return code;
  const bool written = std::ferror(out) == 0 && std::fclose(out) == 0;
  if (code == kExitOk && (!written || std::rename(temporary.c_str(), file.c_str()) != 0)) {
    code = complain("cannot write " + file + ": " + std::strerror(errno), kExitCannotCreate);
  }
  if (code != kExitOk) {
    std::remove(temporary.c_str());
    return code;
  }
  std::fprintf(stderr, "%s in %s; docs/audit-format.md says how to verify them.\n",
               counted(entries, "record").c_str(), file.c_str());
  return kExitOk;
}

int verify_tape(const GlobalOptions& global, const std::string& id, bool session) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::VerifyTapeRequest request;
  (session ? request.mutable_session_id() : request.mutable_run_id())->assign(id);
  Progress progress("verifying");
  auto context = connection.context(300);
  api::VerifyTapeResponse response;
  const auto status = connection.gateway().VerifyTape(context.get(), request, &response);
  progress.alive();
  if (!status.ok()) return connection.explain(status);
  if (global.output != Output::kText) {
    std::printf("%s\n", to_json(response, global.output == Output::kJson).c_str());
  } else if (response.ok()) {
    std::string erased;
    if (response.erased() > 0) erased = ", " + std::to_string(response.erased()) + " erased";
    std::printf("%s %s%s, head %s\n", styled(Style::kGreen, "verified").c_str(),
                counted(response.records(), "record").c_str(), erased.c_str(),
                response.head_hash().substr(0, 16).c_str());
  }
  if (response.ok()) {
    if (!response.reason().empty()) complain(response.reason(), kExitOk);
    return kExitOk;
  }
  return complain("record " + std::to_string(response.bad_seq()) +
                      " does not verify: " + response.reason() +
                      "; restore a backup, and keep this store for the investigation",
                  kExitRunFailed);
}

}  // namespace palyra::cli
