// What the tests of the archive share. Instantiate JournalArchive beside JournalContract.
#pragma once

#include "plugins/journal/contract/backend.h"
#include "plugins/journal/contract/requests.h"
#include "plugins/journal/segment.h"

#include <string>

namespace palyra::journal::contract {

class JournalArchive : public JournalContract {
 protected:
  void write(const std::string& stream, int count, const std::string& payload = "x") {
    for (int i = 1; i <= count; ++i) {
      ASSERT_TRUE(backend_->commit(Commit().append(stream, payload + std::to_string(i))).ok());
    }
  }
  static v1::ArchiveRequest up_to(const std::string& stream, uint64_t seq) {
    v1::ArchiveRequest request;
    request.set_stream(stream);
    request.set_up_to_seq(seq);
    return request;
  }
  v1::ArchiveResponse archive(const std::string& stream, uint64_t seq) {
    const auto response = backend_->archive(up_to(stream, seq));
    EXPECT_TRUE(response.ok()) << response.status().to_string();
    return response.ok() ? *response : v1::ArchiveResponse();
  }
  std::string payloads(v1::ReadRequest request) {
    const auto response = backend_->read(request);
    if (!response.ok()) return response.status().to_string();
    std::string out;
    for (const v1::Record& record : response->records()) {
      out += record.type() == "noted" ? record.payload() : "<" + record.type() + ">";
      out += record.erased() ? "-" : " ";
    }
    return out;
  }
  // What the stream says of its last segment.
  v1::SegmentClosed closed(const std::string& stream) {
    v1::SegmentClosed closed;
    const auto response = backend_->read(read(stream));
    if (!response.ok()) return closed;
    for (const v1::Record& record : response->records()) {
      if (record.type() == kSegmentClosedType) closed.ParseFromString(record.payload());
    }
    return closed;
  }
  std::string file_name(const std::string& stream) {
    return segment_name(closed(stream).archive_digest());
  }
};

}  // namespace palyra::journal::contract
