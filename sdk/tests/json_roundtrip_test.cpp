// Every message of palyra.service.v1 and palyra.common.v1 survives proto3 JSON: plugins without
// protobuf depend on it.
#include "palyra/json_codec.hpp"
#include "palyra/services.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>

namespace palyra {
namespace {

namespace gp = google::protobuf;

// Fills every field with something that is hard to carry: extremes, NUL bytes, quotes, wide text.
class Filler {
 public:
  explicit Filler(uint64_t seed) : random_(seed) {}

  void fill(gp::Message& message, int depth) {
    const gp::Descriptor* type = message.GetDescriptor();
    std::set<const gp::OneofDescriptor*> chosen;
    for (int i = 0; i < type->field_count(); ++i) {
      const gp::FieldDescriptor* field = type->field(i);
      const gp::OneofDescriptor* oneof = field->real_containing_oneof();
      if (oneof != nullptr) {
        // One member of each oneof, another one with another seed.
        if (chosen.count(oneof) > 0) continue;
        chosen.insert(oneof);
        field =
            oneof->field(static_cast<int>(random_() % static_cast<uint64_t>(oneof->field_count())));
      }
      if (depth > 4 && field->cpp_type() == gp::FieldDescriptor::CPPTYPE_MESSAGE) continue;
      for (int n = field->is_repeated() ? 2 : 1; n > 0; --n) set(message, field, depth);
    }
  }

 private:
  std::string bytes() {
    std::string out(random_() % 40, '\0');
    for (char& c : out) c = static_cast<char>(random_());
    return out;
  }
  std::string text() {
    const char* texts[] = {"", "plain", "\"quoted\\\"\n\t", "h\xc3\xa9llo \xf0\x9f\x98\x80",
                           "\x01</script>\xe2\x80\xa8"};
    return texts[random_() % 5] + std::string(random_() % 2, '\0');
  }

  void set(gp::Message& message, const gp::FieldDescriptor* field, int depth) {
    const gp::Reflection* r = message.GetReflection();
    const bool many = field->is_repeated();
    switch (field->cpp_type()) {
      case gp::FieldDescriptor::CPPTYPE_INT32: {
        const auto v = static_cast<int32_t>(random_());
        return many ? r->AddInt32(&message, field, v) : r->SetInt32(&message, field, v);
      }
      case gp::FieldDescriptor::CPPTYPE_INT64: {
        const auto v = static_cast<int64_t>(random_());
        return many ? r->AddInt64(&message, field, v) : r->SetInt64(&message, field, v);
      }
      case gp::FieldDescriptor::CPPTYPE_UINT32: {
        const auto v = static_cast<uint32_t>(random_());
        return many ? r->AddUInt32(&message, field, v) : r->SetUInt32(&message, field, v);
      }
      case gp::FieldDescriptor::CPPTYPE_UINT64: {
        const uint64_t v = random_();
        return many ? r->AddUInt64(&message, field, v) : r->SetUInt64(&message, field, v);
      }
      case gp::FieldDescriptor::CPPTYPE_DOUBLE: {
        const double v = static_cast<double>(random_()) / 3.0;
        return many ? r->AddDouble(&message, field, v) : r->SetDouble(&message, field, v);
      }
      case gp::FieldDescriptor::CPPTYPE_FLOAT: {
        const float v = static_cast<float>(random_() % 1000) / 3.0f;
        return many ? r->AddFloat(&message, field, v) : r->SetFloat(&message, field, v);
      }
      case gp::FieldDescriptor::CPPTYPE_BOOL: {
        const bool v = random_() % 2 == 0;
        return many ? r->AddBool(&message, field, v) : r->SetBool(&message, field, v);
      }
      case gp::FieldDescriptor::CPPTYPE_ENUM: {
        const gp::EnumDescriptor* type = field->enum_type();
        const gp::EnumValueDescriptor* v =
            type->value(static_cast<int>(random_() % static_cast<uint64_t>(type->value_count())));
        return many ? r->AddEnum(&message, field, v) : r->SetEnum(&message, field, v);
      }
      case gp::FieldDescriptor::CPPTYPE_STRING: {
        const std::string v = field->type() == gp::FieldDescriptor::TYPE_BYTES ? bytes() : text();
        return many ? r->AddString(&message, field, v) : r->SetString(&message, field, v);
      }
      case gp::FieldDescriptor::CPPTYPE_MESSAGE:
        return fill(many ? *r->AddMessage(&message, field) : *r->MutableMessage(&message, field),
                    depth + 1);
    }
  }

  std::mt19937_64 random_;
};

TEST(Json, EveryServiceMessageRoundTrips) {
  const ProtobufJson codec;
  int messages = 0;
  for (const gp::FileDescriptor* file : {service::v1::CommitRequest::descriptor()->file(),
                                         service::v1::ChatRequest::descriptor()->file(),
                                         service::v1::InvokeRequest::descriptor()->file(),
                                         common::v1::Usage::descriptor()->file()}) {
    for (int i = 0; i < file->message_type_count(); ++i) {
      const gp::Descriptor* type = file->message_type(i);
      const gp::Message* prototype = gp::MessageFactory::generated_factory()->GetPrototype(type);
      ++messages;
      for (uint64_t seed = 0; seed < 25; ++seed) {
        std::unique_ptr<gp::Message> sent(prototype->New()), received(prototype->New());
        Filler(seed).fill(*sent, 0);
        std::string json;
        Status status = codec.to_json(*sent, json);
        ASSERT_TRUE(status.ok()) << type->full_name() << " seed " << seed << status.message();
        status = codec.from_json(json, *received);
        ASSERT_TRUE(status.ok()) << type->full_name() << " seed " << seed << status.message()
                                 << json;
        ASSERT_TRUE(gp::util::MessageDifferencer::Equals(*sent, *received))
            << type->full_name() << " seed " << seed << "\n"
            << json;
      }
    }
  }
  EXPECT_GT(messages, 40);
}

TEST(Json, GarbageIsRefusedAndUnknownFieldsAreNot) {
  const ProtobufJson codec;
  service::v1::InvokeRequest request;
  for (const char* garbage : {"", "{", "[]", "{\"attempt\":\"x\"}", "\xff"}) {
    EXPECT_EQ(codec.from_json(garbage, request).code(), Code::kInvalidArgument) << garbage;
  }
  EXPECT_TRUE(codec.from_json("{\"name\":\"a\",\"fromTheFuture\":{\"x\":1}}", request).ok());
  EXPECT_EQ(request.name(), "a");
}

}  // namespace
}  // namespace palyra
