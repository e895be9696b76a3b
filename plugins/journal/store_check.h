// Verification of a whole store, and the heads of what changed in it: what every backend shares.
// Rows are fed in the order of positions, so that a store is read from front to back once and the
// memory does not grow with it.
#pragma once

#include "palyra/service/v1/journal_audit.pb.h"
#include "palyra/status.hpp"
#include "plugins/journal/record_hash.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace palyra::journal {

namespace v1 = palyra::service::v1;

// What a pass has to look up beside the row at hand. One thread.
class Places {
 public:
  struct Before {
    uint64_t seq = 0;
    uint64_t position = 0;
    Hash hash{};
  };
  virtual ~Places() = default;
  // Nothing if the stream has no name any more.
  virtual Result<std::optional<std::string>> name(int64_t stream) = 0;
  // The nearest record of the stream up to this number, except the one at `position`; nothing if
  // there is none.
  virtual Result<std::optional<Before>> before(int64_t stream, uint64_t seq, uint64_t position) = 0;
  // Type and payload of each record of the stream that explains what is missing in it.
  using Mark = std::function<void(std::string_view type, std::string_view payload)>;
  virtual Status marks(int64_t stream, const Mark& mark) = 0;
};

// Borrowed for the length of the call.
struct ScannedRow {
  int64_t stream = 0;
  uint64_t seq = 0;
  uint64_t position = 0;
  std::string_view type;
  int64_t wall_time_ns = 0;
  std::string_view payload_digest;
  std::string_view prev_hash;
  std::string_view hash;
  // False: what should be a number is none; whoever looks such a row up may find another one.
  bool numbers = true;
  bool has_payload = false;
  std::string_view salt;
  std::string_view payload;
};

// One page of a pass. A record is right if its own hash and its payload's digest are, if its
// prev_hash is what the store has of the record before, if that one's position is smaller, and if
// no other has its number; so each page stands on its own, a mistake is told where it is, and what
// follows it is still checked.
class StoreCheck {
 public:
  StoreCheck(Places& places, uint64_t from_position, v1::VerifyStoreResponse& page)
      : places_(places), next_position_(from_position), page_(page) {}

  // Positions grow. An error is the disk's, not the store's.
  Status add(const ScannedRow& row);
  // Of the row only its stream and seq: it is where no pass comes to.
  Status add_hidden(const ScannedRow& row, int64_t position);
  // Something that is of no record.
  void bad_store(std::string reason);
  // The page has done its share of work.
  bool full() const;
  // No row follows up to this position.
  void end(uint64_t up_to);

 private:
  struct Range {
    uint64_t first;
    uint64_t last;
  };
  struct Closed {
    Range range;
    std::string prev_hash;
    std::string last_hash;
  };
  struct Stream {
    std::optional<std::string> name;
    uint64_t seq = 0;  // of the record seen last on this page; 0 = none yet
    Hash hash{};
    bool marked = false;
    std::vector<Range> erased;
    std::vector<Closed> closed;
    // First records of the segments that are counted already: a rewritten one is closed again.
    std::set<uint64_t> counted;
  };

  Result<Stream*> stream(int64_t id);
  Status read_marks(int64_t id, Stream& stream);
  Status check(Stream& stream, const ScannedRow& row);
  Status check_before(Stream& stream, const ScannedRow& row);
  Status count_archived(Stream& stream, const ScannedRow& row);
  void bad(const Stream& stream, const ScannedRow& row, uint64_t seq, std::string reason);

  Places& places_;
  uint64_t next_position_;
  v1::VerifyStoreResponse& page_;
  RecordHasher hasher_;
  std::unordered_map<int64_t, Stream> streams_;
  int64_t last_id_ = -1;
  Stream* last_ = nullptr;
};

// One page of the heads of streams that changed.
class HeadsWindow {
 public:
  HeadsWindow(Places& places, uint32_t limit) : places_(places), limit_(limit) {}

  // False: the page ends before this record. Positions grow; payloads are not looked at.
  Result<bool> add(const ScannedRow& row);
  // Sorted by name. Streams without a name are left out: verification reports them.
  void finish(v1::HeadsResponse& response);

 private:
  struct Entry {
    v1::Head head;
    bool mixed = false;
  };
  Places& places_;
  const uint32_t limit_;
  size_t bytes_ = 0;
  uint64_t rows_ = 0;
  std::unordered_map<int64_t, Entry> entries_;
};

}  // namespace palyra::journal
