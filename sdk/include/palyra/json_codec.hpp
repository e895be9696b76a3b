// SPDX-License-Identifier: Apache-2.0
// proto3 JSON for those who link the full protobuf library: call use_protobuf_json() once, before
// publishing. Unknown fields are ignored in input, as newer peers may send them.
#pragma once

#include "palyra/method.hpp"

#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

namespace palyra {

class ProtobufJson final : public JsonCodec {
 public:
  Status to_json(const google::protobuf::Message& message, std::string& out) const override {
    out.clear();
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = false;
    const auto status = google::protobuf::util::MessageToJsonString(message, &out, options);
    if (status.ok()) return {};
    return {Code::kInternal, "a message has no JSON form: " + status.ToString()};
  }
  Status from_json(std::string_view json, google::protobuf::Message& message) const override {
    google::protobuf::util::JsonParseOptions options;
    options.ignore_unknown_fields = true;
    const auto status = google::protobuf::util::JsonStringToMessage(
        google::protobuf::StringPiece(json.data(), json.size()), &message, options);
    if (status.ok()) return {};
    return {Code::kInvalidArgument, "the message does not parse as JSON: " + status.ToString(),
            PALYRA_ERROR_USER_FAULT};
  }
};

inline void use_protobuf_json() {
  static const ProtobufJson kCodec;
  set_json_codec(&kCodec);
}

}  // namespace palyra
