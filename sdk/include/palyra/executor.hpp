// SPDX-License-Identifier: Apache-2.0
// HostExecutor: palyra.executor/1 as an Executor.
//
// Invariants: every function handed over waits in a cell until it runs, is cancelled, or is
// discarded; the host holds only the cell's address, and cells live as long as the executor, so a
// function that the host drops or calls late is neither leaked nor run. All functions [any]; one
// mutex guards the cells and is never held while a function runs or is destroyed.
#pragma once

#include "palyra/executor.h"
#include "palyra/world.hpp"

#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace palyra {

class HostExecutor final : public Executor {
 public:
  explicit HostExecutor(const palyra_executor* table) : table_(table) {}
  HostExecutor(const HostExecutor&) = delete;
  HostExecutor& operator=(const HostExecutor&) = delete;
  ~HostExecutor() override { discard(); }

  bool available() const { return table_ != nullptr; }
  // What to do about a function that throws; set before the first post. [any]
  void on_exception(std::function<void(const char* what)> fn) { on_exception_ = std::move(fn); }

  void post(std::function<void()> fn) override {
    if (table_ == nullptr) return;
    if (Cell* cell = fill(fn)) table_->post(table_->ctx, &run, cell);
  }
  TimerId post_at(int64_t mono_ns, std::function<void()> fn) override {
    if (table_ == nullptr) return kNoTimer;
    Cell* cell = fill(fn);
    if (cell == nullptr) return kNoTimer;
    const TimerId id = (static_cast<TimerId>(cell->generation) << 32) | cell->number;
    // The host never calls back inside post_at, so the handle is stored before the timer can fire.
    std::lock_guard lock(mutex_);
    cell->timer = table_->post_at(table_->ctx, mono_ns, &run, cell);
    return id;
  }
  bool cancel(TimerId timer) override {
    std::function<void()> fn;
    std::lock_guard lock(mutex_);
    const size_t number = timer & 0xffffffffu;
    if (number == 0 || number > cells_.size()) return false;
    Cell& cell = cells_[number - 1];
    if (cell.generation != static_cast<uint32_t>(timer >> 32) || cell.timer == 0) return false;
    if (table_->cancel_timer(table_->ctx, cell.timer) == 0) return false;
    fn = empty(cell);
    free_.push_back(&cell);
    return true;
  }
  void post_blocking(std::function<void()> fn) override {
    if (table_ == nullptr) return;
    if (Cell* cell = fill(fn)) table_->post_blocking(table_->ctx, &run, cell);
  }

  // Destroys what has not run and refuses what comes later. For the instance's stop.
  void discard() {
    std::vector<std::function<void()>> dropped;
    std::lock_guard lock(mutex_);
    closed_ = true;
    for (Cell& cell : cells_) {
      if (cell.fn) dropped.push_back(empty(cell));
    }
  }

 private:
  static constexpr TimerId kNoTimer = ~TimerId{0};

  struct Cell {
    HostExecutor* owner = nullptr;
    uint32_t number = 0;  // 1-based index
    uint32_t generation = 0;
    palyra_handle timer = 0;
    std::function<void()> fn;
  };

  Cell* fill(std::function<void()>& fn) {
    std::lock_guard lock(mutex_);
    if (closed_) return nullptr;
    Cell* cell;
    if (free_.empty()) {
      cell = &cells_.emplace_back();
      cell->owner = this;
      cell->number = static_cast<uint32_t>(cells_.size());
      free_.reserve(cells_.size());
    } else {
      cell = free_.back();
      free_.pop_back();
    }
    cell->fn = std::move(fn);
    return cell;
  }
  static std::function<void()> empty(Cell& cell) {
    ++cell.generation;
    cell.timer = 0;
    return std::exchange(cell.fn, nullptr);
  }
  static void run(void* arg) noexcept {
    auto* cell = static_cast<Cell*>(arg);
    HostExecutor* self = cell->owner;
    std::function<void()> fn;
    {
      std::lock_guard lock(self->mutex_);
      if (!cell->fn) return;
      fn = empty(*cell);
      self->free_.push_back(cell);
    }
    try {
      fn();
    } catch (const std::exception& e) {
      if (self->on_exception_) self->on_exception_(e.what());
    } catch (...) {
      if (self->on_exception_) self->on_exception_("not a std::exception");
    }
  }

  const palyra_executor* table_;
  std::function<void(const char* what)> on_exception_;
  std::mutex mutex_;
  std::deque<Cell> cells_;  // stable addresses
  std::vector<Cell*> free_;
  bool closed_ = false;
};

}  // namespace palyra
