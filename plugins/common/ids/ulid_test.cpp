#include "plugins/common/ids/ulid.h"

#include <gtest/gtest.h>

namespace palyra::ids {
namespace {

class FixedClock : public Clock {
 public:
  int64_t mono_now() const override { return 0; }
  int64_t wall_now() const override { return now_ms * kNanosPerMilli; }
  int64_t now_ms = 1469918176385;  // the example of the specification: 01ARYZ6S41
};

class ByteRandom : public Random {
 public:
  void fill(void* out, size_t size) override {
    for (size_t i = 0; i < size; ++i) static_cast<uint8_t*>(out)[i] = byte;
  }
  uint8_t byte = 0xff;
};

TEST(Ulid, CarriesTheTimeAsTheSpecificationSays) {
  FixedClock clock;
  ByteRandom random;
  const std::string id = UlidMaker(clock, random).next();
  EXPECT_EQ(id.substr(0, 10), "01ARYZ6S41");
  EXPECT_TRUE(is_ulid(id)) << id;
  EXPECT_EQ(ulid_time_ms(id), clock.now_ms);
}

TEST(Ulid, SortsInOrderOfMakingWithinAMillisecondAndWhenTheClockGoesBack) {
  FixedClock clock;
  ByteRandom random;
  UlidMaker maker(clock, random);
  std::string last = maker.next();
  for (int i = 0; i < 1000; ++i) {
    if (i == 500) clock.now_ms -= 60'000;
    const std::string next = maker.next();
    EXPECT_LT(last, next);
    EXPECT_TRUE(is_ulid(next));
    last = next;
  }
}

TEST(Ulid, OthersAreRefused) {
  EXPECT_TRUE(is_ulid("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"));
  for (const char* bad :
       {"", "01ARZ3NDEKTSV4RRFFQ69G5FA", "01ARZ3NDEKTSV4RRFFQ69G5FAVX",
        "81ARZ3NDEKTSV4RRFFQ69G5FAV", "01arz3ndektsv4rrffq69g5fav", "01ARZ3NDEKTSV4RRFFQ69G5FAU",
        "01ARZ3NDEKTSV4RRFFQ69G5FA/", "../../../../../../../etc/a"}) {
    EXPECT_FALSE(is_ulid(bad)) << bad;
  }
}

}  // namespace
}  // namespace palyra::ids
