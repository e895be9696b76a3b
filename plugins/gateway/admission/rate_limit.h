// Token buckets by key (a principal, a peer's address). Time comes as an argument.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace palyra::gateway {

class RateLimit {
 public:
  // `per_second` tokens flow in, up to `burst`. Both > 0.
  RateLimit(double per_second, double burst) : per_second_(per_second), burst_(burst) {}

  // Takes `cost` tokens. Returns 0 if there were enough, otherwise nanoseconds until there are (and
  // takes nothing).
  int64_t take(const std::string& key, int64_t mono_now_ns, double cost = 1);

  // What is in the bucket of `key` now.
  double level(const std::string& key, int64_t mono_now_ns) const;

 private:
  struct Bucket {
    double level;
    int64_t at_ns;
  };
  double refilled(const Bucket& bucket, int64_t now_ns) const;
  void forget_full_buckets(int64_t now_ns);

  double per_second_;
  double burst_;
  std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace palyra::gateway
