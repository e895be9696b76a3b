// Who may touch which names: a caller other than the gateway is confined to streams, collections
// and leases that begin with its instance name and a slash.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "palyra/status.hpp"

#include <string_view>

namespace palyra::journal {

namespace v1 = palyra::service::v1;

class Caller {
 public:
  static Caller hub() { return Caller("", true); }
  static Caller instance(std::string_view name) { return Caller(name, false); }

  bool is_hub() const { return hub_; }
  std::string_view name() const { return name_; }

  // PERMISSION_DENIED names the caller and the name it asked for.
  Status may_use(std::string_view name) const;
  Status may(const v1::CommitRequest& request) const;
  // A prefix that begins with "<instance>/", or an empty one, which then becomes that.
  Status confine(v1::WatchRequest& request) const;

 private:
  Caller(std::string_view name, bool hub) : name_(name), hub_(hub) {}

  std::string_view name_;
  bool hub_;
};

}  // namespace palyra::journal
