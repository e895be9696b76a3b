#include "tests/chaos/job.h"

#include <utility>

namespace palyra::chaos {
namespace {

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

// Writes calls into one message.
class Writer {
 public:
  Writer(Input& input, Random& random) : input_(input), random_(random) {
    input_.text = input_.label + "\n";
  }

  void call(ToolKind kind, bool asked) {
    const std::string value = input_.label + "-" + std::to_string(calls_);
    const std::string delay = std::to_string(2 + draw(random_, 20));
    switch (kind) {
      case ToolKind::kKeyed:
      case ToolKind::kOpaque:
        line(kind == ToolKind::kKeyed ? "test.keyed" : "test.opaque",
             "{\"value\": " + quoted(value) + ", \"delay_ms\": " + delay + "}");
        if (input_.value.empty()) input_.value = value;
        break;
      case ToolKind::kVerifiable: {
        const std::string path = (asked ? "ask/" : "files/") + value + ".txt";
        const size_t size = chance(random_, 30) && take_room() ? 20'000 : 20;
        line("fs.write", "{\"path\": " + quoted(path) +
                             ", \"content\": " + quoted(value + " " + std::string(size, 'w')) +
                             ", \"expected\": \"absent\"}");
        if (input_.path.empty()) input_.path = path;
        break;
      }
      case ToolKind::kNone:
      case ToolKind::kMixed:
        if (chance(random_, 20) && take_room()) {
          // Some larger than what a record holds.
          line("test.large", "{\"bytes\": " + std::to_string(60'000 + draw(random_, 10'000)) + "}");
        } else {
          line("test.slow", "{\"delay_ms\": " + delay + "}");
        }
        break;
    }
    const ToolKind said = kind == ToolKind::kMixed ? ToolKind::kNone : kind;
    input_.tool = calls_ == 0 || input_.tool == said ? said : ToolKind::kMixed;
    ++calls_;
  }

  void deltas(int64_t count, int64_t bytes) {
    input_.text += "/deltas " + std::to_string(count) + " " + std::to_string(bytes) + "\n";
    input_.text_bytes = static_cast<size_t>(count * bytes);
  }

 private:
  // Two large things would not fit into the model's window.
  bool take_room() { return std::exchange(room_, false); }

  void line(const std::string& tool, const std::string& arguments) {
    input_.text += "/tool " + tool + " " + arguments + "\n";
  }

  Input& input_;
  Random& random_;
  int calls_ = 0;
  bool room_ = true;
};

ToolKind any_tool(Random& random) { return static_cast<ToolKind>(draw(random, 4)); }

void write_anything(Input& input, Random& random) {
  Writer writer(input, random);
  const int64_t what = draw(random, 100);
  if (what < 25) {
    writer.deltas(1 + draw(random, 40), 1 + draw(random, 600));
  } else if (what < 35) {
    input.text += "tell me about it";
  } else if (what < 45) {
    input.model = "scripted/rules";
    input.may_fail = chance(random, 25);
    input.text += input.may_fail ? "flaky" : "chain";
  } else if (what < 50) {
    input.cancel = true;
    input.text += "/tool test.slow {\"delay_ms\": 400}";
    input.tool = ToolKind::kNone;
  } else {
    for (int64_t i = 0, calls = 1 + draw(random, 4); i < calls; ++i) {
      writer.call(any_tool(random), chance(random, 30));
    }
  }
}

void write_aimed(Input& input, Aim aim, Random& random) {
  Writer writer(input, random);
  switch (aim) {
    case Aim::kToolNone:
      writer.call(ToolKind::kNone, false);
      break;
    case Aim::kToolKeyed:
    case Aim::kToolOpaque:
      for (int64_t i = 0, calls = 1 + draw(random, 2); i < calls; ++i) {
        writer.call(aim == Aim::kToolKeyed ? ToolKind::kKeyed : ToolKind::kOpaque, false);
      }
      break;
    case Aim::kToolVerifiable:
      for (int64_t i = 0, calls = 1 + draw(random, 3); i < calls; ++i) {
        writer.call(ToolKind::kVerifiable, false);
      }
      break;
    case Aim::kApproval:
      for (int64_t i = 0, calls = 1 + draw(random, 2); i < calls; ++i) {
        writer.call(ToolKind::kVerifiable, true);
      }
      break;
    case Aim::kRetry:
      input.model = "scripted/rules";
      input.may_fail = true;
      input.text += "stumble";
      break;
    case Aim::kQueued:
      writer.deltas(30, 600);
      break;
    case Aim::kCompaction:
      input.model = "fast/rules";
      input.text += "tell me about it";
      break;
    default:
      writer.deltas(1 + draw(random, 30), 1 + draw(random, 600));
      break;
  }
}

Job::Then make_then(Aim aim, Random& random) {
  if (aim == Aim::kCompaction) return Job::Then::kCompact;
  if (aim != Aim::kHistory && chance(random, 70)) return Job::Then::kNothing;
  return static_cast<Job::Then>(1 + draw(random, 4));
}

}  // namespace

Job make_job(const std::string& label, Aim aim, Random& random) {
  Job job;
  const bool aimed = aim != Aim::kAnywhere && aim != Aim::kRecovery && chance(random, 66);
  const bool queues = aimed && aim == Aim::kQueued;
  const bool sums_up = aimed && aim == Aim::kCompaction;
  const bool tidies = sums_up || (aimed && aim == Aim::kHistory);
  if (!queues && !tidies && chance(random, 30)) {
    job.way = Job::Way::kRoute;
    job.conversation =
        chance(random, 40) ? "shared-" + std::to_string(draw(random, 2)) : "room-" + label;
  }
  // A summary leaves the newest turns alone, so that there must be more of them.
  const int64_t most = sums_up                                              ? 7
                       : queues                                             ? 3
                       : job.way == Job::Way::kStream && chance(random, 40) ? 1 + draw(random, 3)
                                                                            : 1;
  if (job.way == Job::Way::kStream) job.then = make_then(aimed ? aim : Aim::kAnywhere, random);
  for (int64_t i = 0; i < most; ++i) {
    Input input;
    input.label = label + "." + std::to_string(i);
    input.behind = i > 0;
    input.model = chance(random, 30) ? "fast/rules" : "embedded/rules";
    input.deny = chance(random, 15);
    if (aimed) {
      write_aimed(input, aim, random);
    } else {
      write_anything(input, random);
    }
    job.inputs.push_back(std::move(input));
  }
  return job;
}

Job make_full_job(const std::string& label, Random& random) {
  Job job;
  Input input;
  input.label = label;
  input.model = "fast/rules";
  Writer writer(input, random);
  writer.call(ToolKind::kNone, false);
  writer.call(ToolKind::kKeyed, false);
  writer.call(ToolKind::kOpaque, false);
  writer.call(ToolKind::kVerifiable, true);
  job.inputs.push_back(std::move(input));
  return job;
}

Job make_talk(const std::string& label, int64_t messages) {
  Job job;
  for (int64_t i = 0; i < messages; ++i) {
    Input& input = job.inputs.emplace_back();
    input.label = label + "." + std::to_string(i);
    input.behind = i > 0;
    input.model = "fast/rules";
    input.text = input.label + "\ntell me about it";
  }
  return job;
}

const char* script() {
  return R"(steps:
  - when: {contains: '"done":true', in: tool}
    text: The chain has come to its end, and every link of it held.
  - when: {contains: '"effects"', in: tool}
    text: The first link holds; here is the second.
    tool_calls:
      - {name: test.opaque, arguments: {value: chain, delay_ms: 5}}
  - when: {contains: chain, in: user}
    reasoning: A chain has links; I begin with the first one.
    text: This is the first link.
    tool_calls:
      - {name: test.keyed, arguments: {value: chain, delay_ms: 5}}
  - when: {contains: stumble, in: user}
    text: This is cut off, however often it is tried.
    failure: {kind: unavailable, message: scripted, after_bytes: 9}
  - when: {contains: flaky, in: user}
    once: true
    text: This is cut off in the middle of a word.
    failure: {kind: unavailable, message: scripted, after_bytes: 17}
  - when: {contains: flaky, in: user}
    text: This time everything is well, and longer than the attempt before it.
)";
}

}  // namespace palyra::chaos
