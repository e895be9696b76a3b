#include "tests/sim/promises.h"

#include "tests/sim/invariants.h"

namespace palyra::sim {
namespace {

struct Promise {
  const char* invariant;
  const char* sentence;
};
constexpr Promise kPromises[] = {
    {kIntent, "Nothing is called before the record that says so is durable."},
    {kPromiseNone, "A call of class none has no effect, and may be repeated."},
    {kPromiseIdempotent, "A call of class idempotent may be repeated with the same arguments."},
    {kPromiseKeyed,
     "A call of class keyed has its effect exactly once if it is reported as done, and at most "
     "once otherwise."},
    {kPromiseVerifiable,
     "A call of class verifiable is repeated only after the tool has said that it did not happen."},
    {kPromiseOpaque,
     "A call of class opaque is never repeated: at most once, and reported as unknown if it was "
     "cut off."},
    {kReported, "A call that was started ends with a record that tells its outcome."},
    {kCancelHolds, "After a cancel that was acknowledged nothing new is begun."},
};

}  // namespace

std::string sentence(const std::string& invariant) {
  for (const auto& promise : kPromises) {
    if (invariant == promise.invariant) return promise.sentence;
  }
  return "";
}

std::string missing_from(const std::string& document) {
  std::string out;
  for (const auto& promise : kPromises) {
    if (document.find("**" + std::string(promise.sentence) + "**") != std::string::npos) continue;
    out += std::string(promise.invariant) + ": not there word for word: **" + promise.sentence +
           "**\n";
  }
  return out;
}

}  // namespace palyra::sim
