// A run as one file that another machine can replay: NDJSON of palyra.gateway.v1.RunFileLine. Pure.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "palyra/status.hpp"
#include "plugins/common/digest/digest.h"
#include "plugins/gateway/replay/check.h"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::gateway::replay {

inline constexpr char kRunFileFormat[] = "palyra.run.1";
// Of a whole file.
inline constexpr size_t kRunFileBytes = size_t{64} << 20;

api::TapeEntry to_entry(const palyra::service::v1::Record& record);

// Makes the lines, in the order in which its functions are called.
class RunFileWriter {
 public:
  std::string header(const api::RunFileHeader& header);
  std::string record(const palyra::service::v1::Record& record);
  std::string blob(const std::string& digest, std::string data);
  std::string history(const palyra::service::v1::Record& record);
  // The last line.
  std::string seal();

  // Of all lines so far.
  size_t bytes() const { return bytes_; }

 private:
  std::string line(const api::RunFileLine& line);

  digest::Sha256 sha256_;
  size_t bytes_ = 0;
};

// A file that was read to its seal: its chains and digests verify.
struct RunFile {
  api::RunFileHeader header;
  std::vector<Record> records;
  std::vector<uint64_t> erased;  // seqs that `records` does not have
  // By stream; without runs of which records were erased.
  std::map<std::string, std::vector<Record>> history;
  std::map<std::string, std::string> blobs;  // by digest, 32 bytes
};

// Reads a file part by part. What is wrong is said by line: INVALID_ARGUMENT (foreign, newer,
// damaged), DATA_LOSS (cut off, altered), RESOURCE_EXHAUSTED (too large). After an error it stays
// with it. One thread at a time.
class RunFileReader {
 public:
  Status feed(std::string_view part);
  // After the last part.
  Result<RunFile> finish();

 private:
  struct Chain {
    std::string hash = std::string(digest::kSha256Size, '\0');
    uint64_t seq = 0;
  };

  Status take_line(std::string_view text);
  Status take_header(api::RunFileHeader header);
  Status take_record(const api::TapeEntry& entry, const std::string& stream,
                     std::vector<Record>& records);
  Status take_blob(api::RunFileBlob& blob);
  Status fail(Code code, std::string sentence);

  RunFile file_;
  std::map<std::string, Chain> chains_;  // by stream
  std::set<std::string> erased_history_;
  std::string rest_;  // of a line that is not over
  digest::Sha256 sha256_;
  size_t bytes_ = 0;
  uint64_t lines_ = 0;
  bool sealed_ = false;
  Status status_;
};

}  // namespace palyra::gateway::replay
