// Recomputes the chain of a stream, record by record.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "plugins/journal/record_hash.h"

#include <cstdint>
#include <string>
#include <vector>

namespace palyra::journal {

namespace v1 = palyra::service::v1;

// Feed the records of one stream in order, then ask for the result. A payload that is missing is
// right only if an `erased` record of the same stream covers it; that record comes later, so it is
// known at the end.
class ChainCheck {
 public:
  // `before`: hash of record first_seq - 1, zeros for first_seq 1.
  ChainCheck(std::string stream, uint64_t first_seq, std::string before);

  // False once something is wrong: no more records are needed.
  bool add(const v1::Record& record);
  v1::VerifyResponse result();

 private:
  struct Range {
    uint64_t first;
    uint64_t last;
  };

  bool fail(uint64_t seq, std::string reason);

  std::string stream_;
  uint64_t next_seq_;
  std::string prev_hash_;
  RecordHasher hasher_;
  v1::VerifyResponse response_;
  std::vector<Range> missing_;
  std::vector<Range> erased_;
};

}  // namespace palyra::journal
