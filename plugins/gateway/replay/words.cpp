#include "plugins/gateway/replay/words.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

namespace palyra::gateway::replay {
namespace {

namespace pb = google::protobuf;
namespace tape = palyra::tape::v1;

// The set field of the record; null if none is.
const pb::FieldDescriptor* type_of(const tape::RunEvent& event) {
  return event.GetReflection()->GetOneofFieldDescriptor(event,
                                                        event.GetDescriptor()->oneof_decl(0));
}

const pb::Message* payload_of(const tape::RunEvent& event) {
  const pb::FieldDescriptor* type = type_of(event);
  return type == nullptr ? nullptr : &event.GetReflection()->GetMessage(event, type);
}

uint64_t number(const pb::Message& message, const char* name) {
  const pb::FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  if (field == nullptr || field->is_repeated()) return 0;
  const pb::Reflection& values = *message.GetReflection();
  if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_UINT64) {
    return values.GetUInt64(message, field);
  }
  if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_UINT32) {
    return values.GetUInt32(message, field);
  }
  return 0;
}

std::string tool_of(const tape::RunEvent& event) {
  if (event.has_tool_call_started()) return event.tool_call_started().call().name();
  if (event.has_policy_started()) return event.policy_started().call().name();
  if (event.has_approval_requested()) return event.approval_requested().tool();
  return {};
}

class Names : public pb::util::MessageDifferencer::Reporter {
 public:
  using Path = std::vector<pb::util::MessageDifferencer::SpecificField>;

  void ReportAdded(const pb::Message&, const pb::Message&, const Path& path) override { add(path); }
  void ReportDeleted(const pb::Message&, const pb::Message&, const Path& path) override {
    add(path);
  }
  void ReportModified(const pb::Message&, const pb::Message&, const Path& path) override {
    add(path);
  }
  std::vector<std::string> names;

 private:
  void add(const Path& path) {
    std::string name;
    // The first is the record's type.
    for (size_t i = 1; i < path.size(); ++i) {
      if (path[i].field == nullptr) continue;
      if (!name.empty()) name += '.';
      name += path[i].field->name();
    }
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
};

}  // namespace

const tape::EffectStart* start_of(const tape::RunEvent& event) {
  const pb::Message* payload = payload_of(event);
  if (payload == nullptr) return nullptr;
  const pb::FieldDescriptor* field = payload->GetDescriptor()->FindFieldByName("start");
  if (field == nullptr || field->is_repeated() ||
      field->message_type() != tape::EffectStart::descriptor()) {
    return nullptr;
  }
  return static_cast<const tape::EffectStart*>(
      &payload->GetReflection()->GetMessage(*payload, field));
}

uint64_t ordinal_ended_by(const tape::RunEvent& event) {
  const pb::Message* payload = payload_of(event);
  return payload == nullptr ? 0 : number(*payload, "ordinal");
}

std::string describe(const tape::RunEvent& event) {
  const pb::FieldDescriptor* type = type_of(event);
  if (type == nullptr) return "an unknown record";
  std::string out = type->name();
  const std::string tool = tool_of(event);
  if (!tool.empty()) out += " " + tool;
  const tape::EffectStart* start = start_of(event);
  const uint64_t ordinal = start != nullptr ? start->ordinal() : ordinal_ended_by(event);
  if (ordinal != 0) out += " #" + std::to_string(ordinal);
  const uint64_t attempt =
      start != nullptr ? start->attempt() : number(*payload_of(event), "attempt");
  if (attempt > 1) out += " attempt " + std::to_string(attempt);
  return out;
}

std::vector<std::string> differing_fields(const tape::RunEvent& a, const tape::RunEvent& b) {
  if (a.event_case() != b.event_case()) return {};
  Names names;
  pb::util::MessageDifferencer differencer;
  differencer.ReportDifferencesTo(&names);
  static_cast<void>(differencer.Compare(a, b));
  return names.names;
}

}  // namespace palyra::gateway::replay
