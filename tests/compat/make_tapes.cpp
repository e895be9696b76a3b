// palyra-make-tapes DIRECTORY: runs of this version as files, with what they fold to beside them.
// Run by hand, once for each version of the loop; a file that exists is left alone.
#include "plugins/gateway/replay/replays_impl.h"
#include "plugins/gateway/session/testing.h"
#include "tests/compat/summary.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>

namespace palyra::compat {
namespace {

using namespace palyra::gateway;
using gateway::testing::House;
using gateway::testing::Say;

namespace api = palyra::gateway::v1;
namespace effect = palyra::common::v1;
namespace replay = palyra::gateway::replay;
namespace run = palyra::gateway::run;
namespace service = palyra::service::v1;
namespace tape = palyra::tape::v1;

constexpr auto kRead = service::TOOL_ACCESS_READ;
constexpr auto kWrite = service::TOOL_ACCESS_WRITE;

// Plays a story in a house and answers with the id of the run to keep.
using Story = std::function<std::string(House&)>;

std::string send(House& house, const std::string& text, const std::string& session = "") {
  const auto accepted = house.send(text, session);
  house.executor.run_until_idle();
  return accepted.value().run_id;
}

std::string send(House& house, const tape::RunLimits& limits) {
  api::RunStart start = House::say("work");
  *start.mutable_limits() = limits;
  const auto accepted = house.run(house.gateway->start_run(House::caller(), start));
  house.executor.run_until_idle();
  return accepted.value().run_id;
}

void allow(House& house, tape::ApprovalVerdict verdict = tape::APPROVAL_VERDICT_ALLOW) {
  const auto pending = house.pending();
  for (const auto& approval : pending) {
    static_cast<void>(house.decide(approval.request().approval_id(), verdict).ok());
    house.executor.run_until_idle();
  }
}

// A call of `class_` is under way when the daemon dies.
Story crash_in_a_call(effect::EffectClass class_) {
  return [class_](House& house) {
    house.tools.add_text("act", kWrite, class_, "acted");
    house.tools.verified.set_outcome(service::CALL_OUTCOME_NOT_HAPPENED);
    house.providers.call("act", R"({"n":1})");
    house.providers.say({"Acted."});
    const std::string run_id = send(house, "act");
    house.tools.hang = true;
    allow(house);
    house.crash();
    house.tools.hang = false;
    house.start();
    house.executor.run_until_idle();
    return run_id;
  };
}

std::string join(House& house, const std::string& run_id, const std::string& text,
                 tape::QueueMode mode) {
  api::FollowUp more;
  more.set_text(text);
  more.set_queue_mode(mode);
  const std::string session = house.run_of(run_id).session_id();
  const auto accepted = house.run(house.gateway->follow_up(House::caller(), session, more));
  house.executor.run_until_idle();
  return accepted.value().run_id;
}

// A conversation of so many turns; its session.
std::string talk(House& house, int turns, size_t bytes = 0) {
  house.providers.rule = [](const service::ChatRequest& request) -> std::optional<Say> {
    const std::string& last = request.messages(request.messages_size() - 1).text();
    if (last.find("Write the summary now.") == std::string::npos) return std::nullopt;
    Say summary;
    summary.text = {"They counted ", "to " + std::to_string(request.ByteSizeLong() % 100) + "."};
    return summary;
  };
  std::string session;
  for (int i = 1; i <= turns; ++i) {
    const std::string run_id =
        send(house, "say" + std::to_string(i) + "." + std::string(bytes, 'x'), session);
    session = house.run_of(run_id).session_id();
  }
  return session;
}

std::string compact(House& house, const std::string& session) {
  api::CompactSessionRequest request;
  request.set_session_id(session);
  const auto started = house.run(house.gateway->compact_session(House::caller(), request));
  house.executor.run_until_idle();
  return started.value().run_id();
}

void too_long(House& house) {
  house.providers.fail(Status(Code::kInvalidArgument, "too long"),
                       service::FAILURE_KIND_CONTEXT_OVERFLOW);
}

// Tapes of messages that join a run.
void add_joined(std::vector<std::pair<std::string, Story>>& out) {
  out.emplace_back("steer", [](House& house) {
    house.providers.hang({"The first "});
    const std::string run_id = send(house, "name a river");
    join(house, run_id, "and a lake", tape::QUEUE_MODE_STEER);
    house.providers.say({"The Elbe, and Lake Constance."});
    house.providers.release();
    house.executor.run_until_idle();
    return run_id;
  });
  out.emplace_back("steer-crash", [](House& house) {
    house.providers.hang({"The first "});
    const std::string run_id = send(house, "name a river");
    join(house, run_id, "and a lake", tape::QUEUE_MODE_STEER);
    house.crash();
    house.start();
    house.executor.run_until_idle();
    return run_id;
  });
  out.emplace_back("interrupt-model", [](House& house) {
    house.providers.hang({"The first "});
    const std::string run_id = send(house, "name a river");
    house.providers.say({"Lake Constance."});
    join(house, run_id, "no, a lake", tape::QUEUE_MODE_INTERRUPT);
    return run_id;
  });
  out.emplace_back("interrupt-tool", [](House& house) {
    house.tools.add_text("act", kRead, effect::EFFECT_CLASS_OPAQUE, "acted");
    house.providers.call("act", "{}");
    house.tools.hang = true;
    const std::string run_id = send(house, "act");
    house.providers.say({"Stopped."});
    join(house, run_id, "stop it", tape::QUEUE_MODE_INTERRUPT);
    house.advance_ms(6'000);
    return run_id;
  });
  out.emplace_back("interrupt-question", [](House& house) {
    house.tools.add_text("fs.write", kWrite, effect::EFFECT_CLASS_VERIFIABLE, "written");
    house.providers.call("fs.write", R"({"path":"a"})");
    const std::string run_id = send(house, "write");
    house.providers.say({"Not written."});
    join(house, run_id, "leave it", tape::QUEUE_MODE_INTERRUPT);
    return run_id;
  });
  out.emplace_back("collect", [](House& house) {
    house.providers.hang({"thinking"});
    const std::string first = send(house, "one");
    const std::string run_id = join(house, first, "two", tape::QUEUE_MODE_COLLECT);
    join(house, first, "three", tape::QUEUE_MODE_COLLECT);
    house.providers.release();
    house.executor.run_until_idle();
    return run_id;
  });
  out.emplace_back("coalesced", [](House& house) {
    api::RouteMessageRequest message;
    message.set_conversation("tea");
    message.set_text("one");
    message.set_coalesce_ms(1'000);
    const auto first = house.run(house.gateway->route_message(House::caller(), message));
    message.set_text("two");
    static_cast<void>(house.run(house.gateway->route_message(House::caller(), message)).ok());
    house.advance_ms(2'000);
    return first.value().run_id();
  });
}

// Tapes of what a conversation was made of.
void add_histories(std::vector<std::pair<std::string, Story>>& out) {
  out.emplace_back("compaction-budget", [](House& house) {
    const std::string session = talk(house, 8, 3'000);
    for (;;) {
      const std::string run_id = send(house, "next" + std::string(3'000, 'x'), session);
      for (const std::string& type : house.tape_of(run_id)) {
        if (type == "compaction_finished") return run_id;
      }
    }
  });
  out.emplace_back("compaction-command",
                   [](House& house) { return compact(house, talk(house, 9)); });
  out.emplace_back("compaction-nothing",
                   [](House& house) { return compact(house, talk(house, 3)); });
  out.emplace_back("compaction-overflow", [](House& house) {
    const std::string session = talk(house, 8);
    too_long(house);
    return send(house, "next", session);
  });
  out.emplace_back("compaction-overflow-again", [](House& house) {
    const std::string session = talk(house, 8);
    too_long(house);
    too_long(house);
    return send(house, "next", session);
  });
  out.emplace_back("compaction-fails", [](House& house) {
    const std::string session = talk(house, 8);
    house.providers.rule = nullptr;
    too_long(house);
    house.providers.fail(Status(Code::kUnauthenticated, "no key"), service::FAILURE_KIND_AUTH);
    return send(house, "next", session);
  });
  out.emplace_back("compaction-crash", [](House& house) {
    const std::string session = talk(house, 8);
    const auto summary = std::exchange(house.providers.rule, nullptr);
    house.providers.hang({"They "});
    api::CompactSessionRequest request;
    request.set_session_id(session);
    const auto started = house.run(house.gateway->compact_session(House::caller(), request));
    house.executor.run_until_idle();
    house.crash();
    house.providers.rule = summary;
    house.start();
    house.executor.run_until_idle();
    return started.value().run_id();
  });
  out.emplace_back("compaction-steps", [](House& house) {
    // Nobody summarises until there is more than one request has room for.
    const std::string session = talk(house, 1);
    const auto summary = std::exchange(
        house.providers.rule, [](const service::ChatRequest& request) -> std::optional<Say> {
          const std::string& last = request.messages(request.messages_size() - 1).text();
          if (last.find("Write the summary now.") == std::string::npos) return std::nullopt;
          Say away;
          away.failure = Status(Code::kUnavailable, "away");
          return away;
        });
    for (int i = 2; i <= 30; ++i) {
      send(house, "say" + std::to_string(i) + "." + std::string(600, 'x'), session);
    }
    house.providers.rule = summary;
    return send(house, "next", session);
  });
  out.emplace_back("summary", [](House& house) {
    const std::string session = talk(house, 9);
    compact(house, session);
    return send(house, "next", session);
  });
  out.emplace_back("pinned", [](House& house) {
    const std::string session = talk(house, 1);
    api::PinFactRequest pin;
    pin.set_session_id(session);
    pin.set_text("The code word is heron.");
    static_cast<void>(house.run(house.gateway->pin_fact(House::caller(), pin)).ok());
    return send(house, "next", session);
  });
  out.emplace_back("branch", [](House& house) {
    const std::string session = talk(house, 3);
    api::ListTurnsRequest list;
    list.set_session_id(session);
    const auto turns = house.run(house.gateway->list_turns(House::caller(), list));
    api::BranchSessionRequest request;
    request.set_session_id(session);
    request.set_turn_id(turns.value().turns(1).turn_id());
    const auto branch = house.run(house.gateway->branch_session(House::caller(), request));
    return send(house, "another way", branch.value().session_id());
  });
  out.emplace_back("rewound", [](House& house) {
    const std::string session = talk(house, 3);
    api::RewindSessionRequest request;
    request.set_session_id(session);
    request.set_back(2);
    static_cast<void>(house.run(house.gateway->rewind_session(House::caller(), request)).ok());
    return send(house, "another way", session);
  });
  out.emplace_back("replayed", [](House& house) {
    house.tools.add_text("fs.read", kRead, effect::EFFECT_CLASS_NONE, "forty-two");
    house.providers.call("fs.read", R"({"path":"a"})");
    house.providers.say({"Forty-two."});
    const std::string original = send(house, "read a");
    ReplaysImpl replays(
        World{house.clock, house.executor, house.ids, house.journal, house.providers, house.tools},
        *house.gateway, *house.gateway, check_schema_text, "0.1.0");
    house.providers.call("fs.read", R"({"path":"a"})");
    house.providers.call("fs.read", R"({"path":"b"})");
    house.providers.say({"Only one of them."});
    api::RepeatRunRequest request;
    request.set_run_id(original);
    request.set_prompt("You read two files.");
    const auto repeated = house.run(replays.repeat_run(House::caller(), request));
    house.executor.run_until_idle();
    return repeated.value().run_id();
  });
}

std::vector<std::pair<std::string, Story>> stories() {
  std::vector<std::pair<std::string, Story>> out;
  out.emplace_back("simple", [](House& house) {
    house.providers.say({"Hello ", "Ada."});
    return send(house, "hello");
  });
  out.emplace_back("history", [](House& house) {
    house.providers.say({"One."});
    const std::string first = send(house, "first");
    house.providers.say({"Two."});
    return send(house, "second", house.run_of(first).session_id());
  });
  out.emplace_back("tools-approved", [](House& house) {
    house.tools.add_text("fs.read", kRead, effect::EFFECT_CLASS_NONE, "forty-two");
    house.tools.add_text("fs.write", kWrite, effect::EFFECT_CLASS_VERIFIABLE, "written");
    house.providers.call("fs.read", R"({"path":"a"})");
    house.providers.call("fs.write", R"({"path":"b","text":"forty-two"})");
    house.providers.say({"Copied."});
    const std::string run_id = send(house, "copy a to b");
    house.advance_ms(4'000);
    allow(house);
    return run_id;
  });
  out.emplace_back("tools-denied-and-expired", [](House& house) {
    house.tools.add_text("fs.write", kWrite, effect::EFFECT_CLASS_VERIFIABLE, "written");
    house.providers.call("fs.write", R"({"path":"a"})");
    house.providers.call("fs.write", R"({"path":"b"})");
    house.providers.say({"I may not."});
    const std::string run_id = send(house, "write");
    allow(house, tape::APPROVAL_VERDICT_DENY);
    house.advance_ms(900'001);
    return run_id;
  });
  out.emplace_back("tools-side-by-side", [](House& house) {
    house.tools.add_text("fs.read", kRead, effect::EFFECT_CLASS_NONE, "text");
    Say turn;
    for (int i = 0; i < 3; ++i) {
      auto& call = turn.calls.emplace_back();
      call.set_call_id("call-" + std::to_string(i));
      call.set_name(i == 1 ? "fs.none" : "fs.read");
      call.set_arguments_json("{\"n\":" + std::to_string(i) + "}");
    }
    house.providers.script.push_back(turn);
    house.providers.say({"Three."});
    return send(house, "read three");
  });
  const std::pair<const char*, effect::EffectClass> classes[] = {
      {"none", effect::EFFECT_CLASS_NONE},
      {"idempotent", effect::EFFECT_CLASS_IDEMPOTENT},
      {"keyed", effect::EFFECT_CLASS_KEYED},
      {"verifiable", effect::EFFECT_CLASS_VERIFIABLE},
      {"opaque", effect::EFFECT_CLASS_OPAQUE}};
  for (const auto& [name, class_] : classes) {
    out.emplace_back("crash-" + std::string(name), crash_in_a_call(class_));
  }
  out.emplace_back("crash-model", [](House& house) {
    house.providers.hang({std::string(5'000, 'x')});
    const std::string run_id = send(house, "hello");
    house.crash();
    house.providers.say({"Again."});
    house.start();
    house.executor.run_until_idle();
    return run_id;
  });
  out.emplace_back("retry", [](House& house) {
    for (int i = 0; i < 2; ++i) {
      house.providers.fail(
          Status(Code::kUnavailable, "busy " + std::to_string(i), PALYRA_ERROR_RETRYABLE),
          service::FAILURE_KIND_UNAVAILABLE);
    }
    house.providers.say({"At last."});
    const std::string run_id = send(house, "hello");
    house.advance_ms(20'000);
    return run_id;
  });
  out.emplace_back("model-fails", [](House& house) {
    house.providers.fail(Status(Code::kUnauthenticated, "no key"), service::FAILURE_KIND_AUTH);
    return send(house, "hello");
  });
  out.emplace_back("cancel", [](House& house) {
    house.providers.hang({"half"});
    const std::string run_id = send(house, "hello");
    api::CancelRunRequest request;
    request.set_run_id(run_id);
    request.set_reason("enough");
    static_cast<void>(house.run(house.gateway->cancel_run(House::caller(), request)).ok());
    house.advance_ms(6'000);
    return run_id;
  });
  out.emplace_back("repair", [](House& house) {
    house.providers.say({"I will now look into it."});
    house.providers.say({"It is forty-two."});
    return send(house, "what is it?");
  });
  out.emplace_back("repair-refused", [](House& house) {
    house.providers.say({""});
    house.providers.say({""});
    return send(house, "what is it?");
  });
  out.emplace_back("budget", [](House& house) {
    house.tools.add_text("fs.read", kRead, effect::EFFECT_CLASS_NONE, std::string(2'000, 'y'));
    house.providers.call("fs.read", R"({"path":"a"})");
    tape::RunLimits limits;
    limits.set_max_tokens(400);
    return send(house, limits);
  });
  out.emplace_back("too-many-turns", [](House& house) {
    house.tools.add_text("fs.read", kRead, effect::EFFECT_CLASS_NONE, "text");
    for (int i = 0; i < 3; ++i) {
      house.providers.call("fs.read", "{\"n\":" + std::to_string(i) + "}");
    }
    tape::RunLimits limits;
    limits.set_max_turns(2);
    return send(house, limits);
  });
  out.emplace_back("same-failure", [](House& house) {
    for (int i = 0; i < 4; ++i) house.providers.call("fs.none", "{}");
    return send(house, "read");
  });
  out.emplace_back("running-time", [](House& house) {
    house.providers.hang({"still"});
    tape::RunLimits limits;
    limits.set_max_running_ms(10'000);
    const std::string run_id = send(house, limits);
    house.advance_ms(20'000);
    return run_id;
  });
  add_joined(out);
  add_histories(out);
  return out;
}

bool save(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  return out.flush().good();
}

bool make(const std::filesystem::path& directory, const std::string& name, const Story& story) {
  const std::string prefix = "v" + std::to_string(run::kLoopVersion) + "-" + name;
  const auto file = directory / (prefix + ".ndjson");
  if (std::filesystem::exists(file)) return true;
  Options options = gateway::testing::test_options();
  if (name == "compaction-steps") {
    options.context_window = 4'000;
    options.limits.max_output_tokens = 400;
  }
  House house(0, options);
  const std::string run_id = story(house);
  ReplaysImpl replays(
      World{house.clock, house.executor, house.ids, house.journal, house.providers, house.tools},
      *house.gateway, *house.gateway, check_schema_text, "0.1.0");
  std::string bytes;
  Send<api::FilePart> send = [&bytes](api::FilePart part) -> Task<bool> {
    bytes += part.data();
    co_return true;
  };
  api::ExportRunRequest request;
  request.set_run_id(run_id);
  const Status status = house.run(replays.export_run(House::caller(), request, send));
  if (!status.ok()) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), status.message().c_str());
    return false;
  }
  replay::RunFileReader reader;
  static_cast<void>(reader.feed(bytes).ok());
  const auto read = reader.finish();
  if (!read.ok()) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), read.status().message().c_str());
    return false;
  }
  std::printf("%s\n", prefix.c_str());
  return save(file, bytes) && save(directory / (prefix + ".json"), summary_of(read->records));
}

}  // namespace
}  // namespace palyra::compat

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: palyra-make-tapes DIRECTORY\n");
    return 64;
  }
  for (const auto& [name, story] : palyra::compat::stories()) {
    if (!palyra::compat::make(argv[1], name, story)) return 1;
  }
  return 0;
}
