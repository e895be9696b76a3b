// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/buffers.h"

#include "palyra/status.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace palyra::host {
namespace {

TEST(Buffers, HoldWhatWasSealedUntilTheLastReferenceGoes) {
  const palyra_buffers& table = buffer_table();
  const uint64_t before = live_buffers();
  uint8_t* data = nullptr;
  palyra_buffer* buffer = table.alloc(table.ctx, 100, &data);
  ASSERT_NE(buffer, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % 16, 0u);
  std::copy_n("hello", 5, data);
  table.seal(table.ctx, buffer, 5);
  table.retain(table.ctx, buffer);
  table.release(table.ctx, buffer);
  EXPECT_EQ(view(table.view(table.ctx, buffer)), "hello");
  EXPECT_EQ(live_buffers(), before + 1);
  table.release(table.ctx, buffer);
  EXPECT_EQ(live_buffers(), before);
}

TEST(Buffers, RefuseMoreThanOneGibibyte) {
  const palyra_buffers& table = buffer_table();
  EXPECT_EQ(table.alloc(table.ctx, (uint64_t{1} << 30) + 1, nullptr), nullptr);
  EXPECT_EQ(table.alloc(table.ctx, UINT64_MAX, nullptr), nullptr);
}

TEST(Buffers, NeverSealMoreThanWasAllocated) {
  const palyra_buffers& table = buffer_table();
  palyra_buffer* buffer = table.alloc(table.ctx, 4, nullptr);
  table.seal(table.ctx, buffer, 4000);
  EXPECT_EQ(table.view(table.ctx, buffer).len, 4u);
  table.release(table.ctx, buffer);
}

TEST(Buffers, EmptyAndNullAreOrdinary) {
  const palyra_buffers& table = buffer_table();
  palyra_buffer* buffer = make_buffer("");
  ASSERT_NE(buffer, nullptr);
  EXPECT_EQ(table.view(table.ctx, buffer).len, 0u);
  table.release(table.ctx, buffer);
  table.release(table.ctx, nullptr);
}

TEST(Buffers, ReferencesMayBeDroppedFromManyThreads) {
  const palyra_buffers& table = buffer_table();
  const uint64_t before = live_buffers();
  palyra_buffer* buffer = make_buffer("shared");
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    table.retain(table.ctx, buffer);
    threads.emplace_back([&table, buffer] {
      EXPECT_EQ(view(table.view(table.ctx, buffer)), "shared");
      table.release(table.ctx, buffer);
    });
  }
  table.release(table.ctx, buffer);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(live_buffers(), before);
}

}  // namespace
}  // namespace palyra::host
