#include "plugins/gateway/audit/checkpoint.h"

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/audit/signing_key.h"

#include <nlohmann/json.hpp>

#include <charconv>
#include <optional>

namespace palyra::gateway::audit {
namespace {

using Json = nlohmann::json;

template <typename Integer>
void put_big_endian(std::string& out, Integer value) {
  for (int shift = static_cast<int>(sizeof(Integer)) * 8 - 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(static_cast<uint64_t>(value) >> shift));
  }
}

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

template <typename Integer>
bool read_number(const Json& object, const char* key, Integer& out) {
  const std::string text = text_of(object, key);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

bool read_bytes(const Json& object, const char* key, size_t size, std::string& out) {
  const std::optional<std::string> bytes = digest::from_hex(text_of(object, key));
  if (!bytes || bytes->size() != size) return false;
  out = *bytes;
  return true;
}

}  // namespace

void put_field(std::string& out, std::string_view bytes) {
  put_big_endian(out, static_cast<uint32_t>(bytes.size()));
  out.append(bytes);
}

void put_field(std::string& out, uint64_t number) {
  put_big_endian(out, uint32_t{8});
  put_big_endian(out, number);
}

std::string heads_digest(const tape::Checkpoint& checkpoint) {
  std::string bytes;
  for (const tape::StreamHead& head : checkpoint.heads()) {
    put_field(bytes, head.stream());
    put_field(bytes, head.seq());
    put_field(bytes, head.hash());
  }
  return digest::sha256(bytes);
}

Link link_of(const tape::Checkpoint& checkpoint) {
  Link link;
  link.number = checkpoint.number();
  link.previous = checkpoint.previous();
  link.position = checkpoint.position();
  link.time_ms = checkpoint.time_ms();
  link.streams = static_cast<uint64_t>(checkpoint.heads_size());
  link.heads_digest = heads_digest(checkpoint);
  link.public_key = checkpoint.public_key();
  link.signature = checkpoint.signature();
  return link;
}

std::string signed_bytes(const Link& link) {
  std::string bytes;
  put_field(bytes, kCheckpointDomain);
  put_field(bytes, link.number);
  put_field(bytes, link.previous);
  put_field(bytes, link.position);
  put_field(bytes, static_cast<uint64_t>(link.time_ms));
  put_field(bytes, link.streams);
  put_field(bytes, link.heads_digest);
  put_field(bytes, link.public_key);
  return bytes;
}

std::string hash_of(const Link& link) { return digest::sha256(signed_bytes(link)); }

Status check_signature(const Link& link) {
  if (is_signed(link.public_key, signed_bytes(link), link.signature)) return {};
  return {Code::kDataLoss,
          "the signature of checkpoint " + std::to_string(link.number) + " is wrong"};
}

std::string to_line(const Link& link, const tape::Checkpoint* checkpoint) {
  Json body = {{"number", std::to_string(link.number)},
               {"previous", digest::to_hex(link.previous)},
               {"position", std::to_string(link.position)},
               {"timeMs", std::to_string(link.time_ms)},
               {"streams", std::to_string(link.streams)},
               {"headsDigest", digest::to_hex(link.heads_digest)},
               {"publicKey", digest::to_hex(link.public_key)},
               {"signature", digest::to_hex(link.signature)}};
  if (checkpoint != nullptr) {
    Json heads = Json::array();
    for (const tape::StreamHead& head : checkpoint->heads()) {
      heads.push_back({{"stream", head.stream()},
                       {"seq", std::to_string(head.seq())},
                       {"hash", digest::to_hex(head.hash())}});
    }
    body["heads"] = std::move(heads);
  }
  return Json({{"checkpoint", std::move(body)}})
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Link> parse_line(std::string_view line) {
  const Json parsed = Json::parse(line, nullptr, false);
  Link link;
  if (parsed.is_object()) {
    const auto body = parsed.find("checkpoint");
    if (body != parsed.end() && body->is_object() && read_number(*body, "number", link.number) &&
        read_bytes(*body, "previous", 32, link.previous) &&
        read_number(*body, "position", link.position) &&
        read_number(*body, "timeMs", link.time_ms) && read_number(*body, "streams", link.streams) &&
        read_bytes(*body, "headsDigest", 32, link.heads_digest) &&
        read_bytes(*body, "publicKey", 32, link.public_key) &&
        read_bytes(*body, "signature", 64, link.signature)) {
      return link;
    }
  }
  return Status(Code::kInvalidArgument,
                "this is no witness: expected the line that `palyra audit witness` prints",
                PALYRA_ERROR_USER_FAULT);
}

}  // namespace palyra::gateway::audit
