// SPDX-License-Identifier: Apache-2.0
// What a service contract is made of: typed method numbers, and messages as bytes.
//
// A message is anything with protobuf's ByteSizeLong, SerializeToArray and ParseFromArray; the SDK
// does not need protobuf itself. JSON is a hook: palyra/json_codec.hpp sets it for those who link
// the full protobuf library, and for generated messages that are google::protobuf::Message.
#pragma once

#include "palyra/status.hpp"

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace google::protobuf {
class Message;
}

namespace palyra {

// One request, one result.
template <typename Req, typename Res>
struct Unary {
  using Request = Req;
  using Response = Res;
  uint32_t number;
};

// One request, items, one result.
template <typename Req, typename It, typename Res>
struct ServerStream {
  using Request = Req;
  using Item = It;
  using Response = Res;
  uint32_t number;
};

// proto3 JSON of full protobuf messages. [any]
class JsonCodec {
 public:
  virtual ~JsonCodec() = default;
  virtual Status to_json(const google::protobuf::Message& message, std::string& out) const = 0;
  virtual Status from_json(std::string_view json, google::protobuf::Message& message) const = 0;
};

namespace detail {
inline std::atomic<const JsonCodec*> json_codec_hook{nullptr};

template <typename M>
constexpr bool kHasJson = std::is_convertible_v<const M*, const google::protobuf::Message*>;
}  // namespace detail

// Null until set. One per shared library.
inline const JsonCodec* json_codec() { return detail::json_codec_hook.load(); }
inline void set_json_codec(const JsonCodec* codec) { detail::json_codec_hook.store(codec); }

// Parses `data` into `message`. INVALID_ARGUMENT if it does not parse, UNIMPLEMENTED for JSON
// without a codec.
template <typename M>
Status decode(uint32_t encoding, std::string_view data, M& message) {
  if (encoding == PALYRA_ENCODING_PROTOBUF) {
    if (data.size() <= INT32_MAX &&
        message.ParseFromArray(data.data(), static_cast<int>(data.size()))) {
      return {};
    }
    return {Code::kInvalidArgument,
            "the message does not parse as protobuf: check that both sides "
            "use the same palyra.service.v1",
            PALYRA_ERROR_USER_FAULT};
  }
  if constexpr (detail::kHasJson<M>) {
    if (encoding == PALYRA_ENCODING_JSON && json_codec() != nullptr) {
      return json_codec()->from_json(data, message);
    }
  }
  return {Code::kUnimplemented, "this side speaks protobuf only: send the message in binary form"};
}

// A message that is bytes already, in protobuf. Sent as it is; parsed only for who speaks JSON.
template <typename M>
struct Serialised {
  std::string bytes;
  // Without what does not parse.
  M parsed() const {
    M message;
    (void)decode(PALYRA_ENCODING_PROTOBUF, bytes, message);
    return message;
  }
};

// Appends nothing; replaces `out`.
template <typename M>
Status encode(uint32_t encoding, const M& message, std::string& out) {
  if (encoding == PALYRA_ENCODING_PROTOBUF) {
    const size_t size = message.ByteSizeLong();
    out.resize(size);
    if (size <= INT32_MAX && message.SerializeToArray(out.data(), static_cast<int>(size)))
      return {};
    return {Code::kInternal, "a message of more than 2 GiB cannot be sent"};
  }
  if constexpr (detail::kHasJson<M>) {
    if (encoding == PALYRA_ENCODING_JSON && json_codec() != nullptr) {
      return json_codec()->to_json(message, out);
    }
  }
  return {Code::kUnimplemented, "this side speaks protobuf only: no JSON codec is set"};
}
template <typename M>
Status encode(uint32_t encoding, const Serialised<M>& message, std::string& out) {
  if (encoding == PALYRA_ENCODING_PROTOBUF) {
    out = message.bytes;
    return {};
  }
  M parsed;
  if (Status bad = decode(PALYRA_ENCODING_PROTOBUF, message.bytes, parsed); !bad.ok()) return bad;
  return encode(encoding, parsed, out);
}

}  // namespace palyra
