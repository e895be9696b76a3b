// Objects named by slot and generation, in memory that is never given back: a stale name finds an
// object of another generation, never freed memory.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

namespace palyra::registry {

// A handle: generation (40 bits) above slot + 1 (24 bits), so that 0 names nothing.
constexpr uint64_t kSlotBits = 24;
constexpr uint64_t make_handle(uint64_t generation, uint32_t slot) {
  return (generation << kSlotBits) | (slot + 1);
}
constexpr uint64_t handle_generation(uint64_t handle) { return handle >> kSlotBits; }

// What an object of the pool starts with. `mutex` guards the object and `generation`, which changes
// with every release, so a name is checked under it.
struct SlotBase {
  std::mutex mutex;
  uint64_t generation = 1;
  uint32_t slot = 0;
  std::atomic<uint32_t> next_free{0};

  uint64_t handle() const { return make_handle(generation, slot); }
  bool is(uint64_t name) const { return generation == handle_generation(name); }
};

// Invariant: an object is either on the free list or owned by whoever allocated it. Any thread may
// call anything. find() never blocks; allocate() takes a lock only to grow.
template <typename T>
class SlotPool {
 public:
  static constexpr uint32_t kChunk = 256;
  static constexpr uint32_t kChunks = 1024;

  SlotPool() = default;
  SlotPool(const SlotPool&) = delete;

  // Null when kChunk * kChunks objects are in use. Its generation is already valid.
  T* allocate() {
    for (;;) {
      uint64_t head = free_.load(std::memory_order_acquire);
      while ((head & kSlotMask) != 0) {
        T* object = at(static_cast<uint32_t>(head & kSlotMask) - 1);
        const uint64_t next = object->next_free.load(std::memory_order_relaxed);
        // The upper half counts changes, against a head that went away and came back.
        if (free_.compare_exchange_weak(head, ((head & ~kSlotMask) + kTag) | next,
                                        std::memory_order_acq_rel, std::memory_order_acquire)) {
          return object;
        }
      }
      if (!grow()) return nullptr;
    }
  }

  // Ends the name. The caller holds object->mutex and must not use the object after unlocking,
  // so the two are split: retire() under the lock, recycle() after it.
  void retire(T* object) { ++object->generation; }
  void recycle(T* object) {
    uint64_t head = free_.load(std::memory_order_relaxed);
    do {
      object->next_free.store(static_cast<uint32_t>(head & kSlotMask), std::memory_order_relaxed);
    } while (!free_.compare_exchange_weak(head, ((head & ~kSlotMask) + kTag) | (object->slot + 1),
                                          std::memory_order_acq_rel, std::memory_order_relaxed));
  }

  // The object in the slot that `handle` names, whatever its generation; null for a number that
  // never was a handle. Lock its mutex and ask is(handle).
  T* find(uint64_t handle) const {
    const uint64_t number = handle & ((uint64_t{1} << kSlotBits) - 1);
    if (number == 0 || number > uint64_t{kChunk} * kChunks) return nullptr;
    const auto slot = static_cast<uint32_t>(number - 1);
    T* chunk = chunks_[slot / kChunk].load(std::memory_order_acquire);
    return chunk == nullptr ? nullptr : &chunk[slot % kChunk];
  }

  // Every object that was ever made, in use or not.
  template <typename F>
  void for_each(F&& visit) const {
    for (const auto& entry : chunks_) {
      T* chunk = entry.load(std::memory_order_acquire);
      if (chunk == nullptr) return;
      for (uint32_t i = 0; i < kChunk; ++i) visit(chunk[i]);
    }
  }

 private:
  static constexpr uint64_t kSlotMask = 0xFFFFFFFF;
  static constexpr uint64_t kTag = uint64_t{1} << 32;

  T* at(uint32_t slot) const {
    return &chunks_[slot / kChunk].load(std::memory_order_acquire)[slot % kChunk];
  }

  bool grow() {
    std::lock_guard lock(grow_mutex_);
    if ((free_.load(std::memory_order_acquire) & kSlotMask) != 0) return true;
    if (used_chunks_ == kChunks) return false;
    T* chunk = new T[kChunk];
    const uint32_t first = used_chunks_ * kChunk;
    for (uint32_t i = 0; i < kChunk; ++i) chunk[i].slot = first + i;
    chunks_[used_chunks_++].store(chunk, std::memory_order_release);
    for (uint32_t i = kChunk; i > 0; --i) recycle(&chunk[i - 1]);
    return true;
  }

  std::array<std::atomic<T*>, kChunks> chunks_{};
  std::atomic<uint64_t> free_{0};
  std::mutex grow_mutex_;
  uint32_t used_chunks_ = 0;
};

}  // namespace palyra::registry
