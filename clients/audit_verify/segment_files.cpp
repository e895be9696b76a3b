#include "clients/audit_verify/segment_files.h"

#include "clients/audit_verify/primitives.h"

#include <fstream>
#include <utility>
#include <zlib.h>

namespace palyra::audit_verify {
namespace {

// No segment is larger; another file is not read into memory.
constexpr size_t kMostFile = size_t{16} << 20;
constexpr size_t kMostText = size_t{64} << 20;

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return {};
  std::string bytes(kMostFile + 1, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<size_t>(file.gcount()));
  if (bytes.size() > kMostFile) return {};
  return bytes;
}

}  // namespace

std::optional<std::string> SegmentFiles::find(const std::string& digest) const {
  for (const std::string& directory : directories_) {
    const auto file = read_file(directory + "/" + to_hex(digest) + ".ndjson.gz");
    if (!file || sha256(*file) != digest) continue;
    if (auto text = unpack(*file, kMostText)) return text;
  }
  return {};
}

std::optional<std::string> unpack(const std::string& file, size_t most) {
  constexpr int kGzip = 15 + 16;
  z_stream zip{};
  if (inflateInit2(&zip, kGzip) != Z_OK) return {};
  zip.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(file.data()));
  zip.avail_in = static_cast<uInt>(file.size());
  std::string text;
  std::string block(size_t{256} << 10, '\0');
  int code = Z_OK;
  while (code == Z_OK && text.size() <= most) {
    zip.next_out = reinterpret_cast<Bytef*>(block.data());
    zip.avail_out = static_cast<uInt>(block.size());
    code = inflate(&zip, Z_NO_FLUSH);
    text.append(block.data(), block.size() - zip.avail_out);
  }
  inflateEnd(&zip);
  if (code != Z_STREAM_END || text.size() > most) return {};
  return text;
}

}  // namespace palyra::audit_verify
