#include "tests/sim/shrink.h"

#include "tests/sim/sim.h"

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <utility>

namespace palyra::sim {
namespace {

class Shrinker {
 public:
  Shrinker(std::vector<uint32_t> choices, std::string invariant, uint64_t tries)
      : best_(std::move(choices)), invariant_(std::move(invariant)), tries_(tries) {}

  std::vector<uint32_t> shrink() {
    // A history that only breaks with what was added to it keeps what was added.
    enough_ = false;
    if (!breaks(best_)) enough_ = true;
    size_t before = 0;
    do {
      before = weight();
      shorten();
      for (size_t size = std::max<size_t>(best_.size() / 2, 1); size > 0; size /= 2) {
        leave_out(size);
        make_dull(size);
      }
      lower();
    } while (weight() < before && tries_ > 0);
    return best_;
  }

 private:
  bool breaks(const std::vector<uint32_t>& choices) {
    if (tries_ == 0) return false;
    --tries_;
    return simulate(Dice(choices), false, enough_).violation.invariant == invariant_;
  }
  bool accept(std::vector<uint32_t> choices) {
    if (!breaks(choices)) return false;
    best_ = std::move(choices);
    return true;
  }
  size_t weight() const {
    size_t sum = best_.size();
    for (const uint32_t choice : best_) sum += choice != 0 ? 2 : 0;
    return sum;
  }

  void shorten() {
    for (size_t cut = best_.size() / 2; cut > 0;) {
      if (cut <= best_.size() && accept({best_.begin(), best_.end() - static_cast<long>(cut)})) {
        continue;
      }
      cut /= 2;
    }
  }
  void leave_out(size_t size) {
    for (size_t at = 0; at + size <= best_.size() && tries_ > 0;) {
      std::vector<uint32_t> without(best_.begin(), best_.begin() + static_cast<long>(at));
      without.insert(without.end(), best_.begin() + static_cast<long>(at + size), best_.end());
      if (!accept(std::move(without))) at += size;
    }
  }
  void make_dull(size_t size) {
    for (size_t at = 0; at + size <= best_.size() && tries_ > 0; at += size) {
      const auto begin = best_.begin() + static_cast<long>(at);
      const auto end = begin + static_cast<long>(size);
      if (std::all_of(begin, end, [](uint32_t choice) { return choice == 0; })) continue;
      std::vector<uint32_t> dull = best_;
      std::fill_n(dull.begin() + static_cast<long>(at), size, 0U);
      accept(std::move(dull));
    }
  }
  void lower() {
    for (size_t at = 0; at < best_.size() && tries_ > 0; ++at) {
      if (best_[at] < 2) continue;
      std::vector<uint32_t> lower = best_;
      lower[at] /= 2;
      accept(std::move(lower));
    }
  }

  std::vector<uint32_t> best_;
  const std::string invariant_;
  uint64_t tries_;
  bool enough_ = false;
};

}  // namespace

std::vector<uint32_t> shrink(std::vector<uint32_t> choices, const std::string& invariant,
                             uint64_t tries) {
  return Shrinker(std::move(choices), invariant, tries).shrink();
}

bool write_choices(const std::string& path, const std::vector<uint32_t>& choices) {
  std::ofstream out(path);
  for (const uint32_t choice : choices) out << choice << ' ';
  out << '\n';
  return static_cast<bool>(out);
}

std::vector<uint32_t> read_choices(const std::string& path) {
  std::ifstream in(path);
  std::vector<uint32_t> choices;
  for (uint32_t choice = 0; in >> choice;) choices.push_back(choice);
  return choices;
}

}  // namespace palyra::sim
