#include "tests/chaos/arena.h"

#include <algorithm>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <signal.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace palyra::chaos {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

double ms_since(SteadyTime begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

void spin(int64_t us) {
  const auto end = std::chrono::steady_clock::now() + microseconds(us);
  while (std::chrono::steady_clock::now() < end) {
  }
}

// The end of a file, for the line that has just been written.
bool tail_has(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char buffer[4096];
  const off_t size = lseek(fd, 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - static_cast<off_t>(sizeof buffer));
  const ssize_t got = pread(fd, buffer, sizeof buffer, from);
  close(fd);
  return got > 0 &&
         std::string_view(buffer, static_cast<size_t>(got)).find(text) != std::string_view::npos;
}

std::string tail_of(const std::string& text, size_t bytes) {
  return text.size() <= bytes ? text : text.substr(text.size() - bytes);
}

}  // namespace

int64_t wall_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void Access::authenticate(grpc::ClientContext& context, std::chrono::seconds patience) const {
  context.AddMetadata("authorization", "Bearer " + token);
  context.set_deadline(std::chrono::system_clock::now() + patience);
}

Arena::Arena(e2e::DaemonOptions options, std::string effects, FaultControl& faults, Ledger& ledger,
             std::chrono::seconds patience)
    : daemon_(std::move(options)),
      effects_(std::move(effects)),
      faults_(faults),
      ledger_(ledger),
      patience_(patience) {}

std::optional<Access> Arena::access(uint64_t lost) {
  std::unique_lock lock(mutex_);
  const bool there = changed_.wait_for(lock, 2 * patience_,
                                       [&] { return lost_for_good_ || access_.generation > lost; });
  if (lost_for_good_) return std::nullopt;
  if (!there) {
    lock.unlock();
    give_up("a client lost its connection although the daemon lives");
    return std::nullopt;
  }
  return access_;
}

Access Arena::current() const {
  const std::lock_guard lock(mutex_);
  return access_;
}

void Arena::give_up(const std::string& why) {
  ledger_.problem(why);
  const std::lock_guard lock(mutex_);
  lost_for_good_ = true;
  stopping_ = true;
  changed_.notify_all();
}

void Arena::moment(Moment moment, const Input& input) {
  ++moments_;
  if (moment == Moment::kEnded) {
    const std::lock_guard lock(mutex_);
    ++ended_;
    changed_.notify_all();
  }
  if (!armed_) return;
  Plan plan;
  pid_t pid = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!armed_ || fired_ || !fits(plan_, moment, input.tool)) return;
    if (plan_.skip-- > 0) return;
    fired_ = true;
    plan = plan_;
    kill_.label = input.label;
    kill_.run_id = input.view.run_id;
    kill_by_main_ =
        moment == Moment::kSending || moment == Moment::kDeciding || moment == Moment::kTidying;
    pid = daemon_.pid();
    if (kill_by_main_) {
      changed_.notify_all();
      return;
    }
  }
  wait_trigger(plan, input);
  ::kill(pid, SIGKILL);
  const std::lock_guard lock(mutex_);
  killed_ = true;
  changed_.notify_all();
}

void Arena::wait_trigger(const Plan& plan, const Input& input) const {
  if (plan.trigger == Trigger::kSpin) spin(plan.spin_us);
  if (plan.trigger != Trigger::kEffect) return;
  const auto end = std::chrono::steady_clock::now() + milliseconds(100);
  while (!effect_seen(input) && std::chrono::steady_clock::now() < end) {
  }
}

bool Arena::effect_seen(const Input& input) const {
  if (!input.path.empty()) {
    return ::access((daemon_.workspace() + "/" + input.path).c_str(), F_OK) == 0;
  }
  if (input.value.empty()) return true;
  return tail_has(effects_ + (input.tool == ToolKind::kOpaque ? "/opaque.log" : "/keyed.log"),
                  " " + input.value + "\n");
}

void Arena::endangered(int change) {
  const std::lock_guard lock(mutex_);
  endangered_ += change;
  changed_.notify_all();
}

void Arena::arm(const Plan& plan) {
  faults_.was_cut = false;
  faults_.lost = 0;
  faults_.file = plan.point.file;
  faults_.operation = plan.point.operation;
  faults_.any = plan.any_operation;
  faults_.cut = plan.point.cut;
  faults_.loss = plan.loss;
  faults_.seed = plan.seed;
  faults_.countdown = plan.operations;
}

bool Arena::died() const {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(daemon_.pid()), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid != 0;
}

bool Arena::serve(SteadyTime launched) {
  if (!daemon_.await_ready()) {
    give_up("the daemon does not start: " + tail_of(daemon_.log(), 2000));
    return false;
  }
  ready_ms_.push_back(ms_since(launched));
  const std::lock_guard lock(mutex_);
  ++access_.generation;
  access_.channel = daemon_.channel();
  access_.token = daemon_.token();
  access_.launched = launched;
  changed_.notify_all();
  return true;
}

bool Arena::start() {
  std::filesystem::create_directories(daemon_.workspace() + "/ask");
  std::filesystem::create_directories(daemon_.workspace() + "/files");
  const auto launched = std::chrono::steady_clock::now();
  daemon_.launch();
  return serve(launched);
}

std::optional<Kill> Arena::kill(const Plan& plan, uint64_t rest) {
  std::unique_lock lock(mutex_);
  aim_ = plan.aim;
  const uint64_t enough = ended_ + rest;
  changed_.wait_for(lock, std::chrono::seconds(1), [&] { return ended_ >= enough; });
  changed_.wait_for(lock, patience_, [&] { return endangered_ == 0; });
  plan_ = plan;
  fired_ = killed_ = kill_by_main_ = false;
  kill_ = Kill();
  kill_.plan = plan;
  kill_.generation = access_.generation;
  armed_ = true;
  if (plan.aim == Aim::kStore) arm(plan);
  const auto end = std::chrono::steady_clock::now() + 2 * patience_;
  bool dead = false;
  while (!killed_ && !(fired_ && kill_by_main_) && !lost_for_good_) {
    changed_.wait_for(lock, milliseconds(plan.aim == Aim::kStore ? 5 : 50));
    if (killed_ || (fired_ && kill_by_main_)) break;
    if (died()) {
      fired_ = fired_ || faults_.was_cut;
      dead = true;
      break;
    }
    if (std::chrono::steady_clock::now() > end) break;
  }
  armed_ = false;
  faults_.countdown = 0;
  if (lost_for_good_) return std::nullopt;
  if (dead && !fired_) {
    lock.unlock();
    const int code = daemon_.wait();
    give_up("the daemon died by itself with exit code " + std::to_string(code) + ": " +
            tail_of(daemon_.log(), 4000));
    return std::nullopt;
  }
  if (!fired_) {
    lock.unlock();
    give_up(std::string("no moment for a kill at ") + name_of(plan.aim) + " came");
    return std::nullopt;
  }
  if (kill_by_main_) {
    lock.unlock();
    spin(plan.spin_us);
    lock.lock();
  }
  lock.unlock();
  daemon_.kill_now();
  lock.lock();
  kill_.wall_ns = wall_now();
  kill_.in_store = plan.aim == Aim::kStore;
  kill_.lost = kill_.in_store ? faults_.lost.load() : 0;
  return kill_;
}

std::optional<Kill> Arena::cut(const Plan& plan, const std::function<bool()>& done) {
  arm(plan);
  while (!died() && !done()) std::this_thread::sleep_for(milliseconds(1));
  // An operation may still have come between the last look and this.
  faults_.countdown = 0;
  if (!died() && !faults_.was_cut) return std::nullopt;
  if (!faults_.was_cut) {
    const int code = daemon_.wait();
    give_up("the daemon died by itself with exit code " + std::to_string(code) + ": " +
            tail_of(daemon_.log(), 4000));
    return std::nullopt;
  }
  daemon_.kill_now();
  Kill kill;
  kill.plan = plan;
  kill.generation = access_.generation;
  kill.wall_ns = wall_now();
  kill.in_store = true;
  kill.lost = faults_.lost;
  return kill;
}

void Arena::rest(uint64_t runs) {
  std::unique_lock lock(mutex_);
  const uint64_t enough = ended_ + runs;
  changed_.wait_for(lock, std::chrono::seconds(1), [&] { return ended_ >= enough; });
}

bool Arena::restart(const std::optional<Plan>& during, std::vector<Kill>* kills) {
  if (during) {
    double usual = 300;
    if (!ready_ms_.empty()) {
      std::vector<double> sorted = ready_ms_;
      std::nth_element(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(sorted.size() / 2),
                       sorted.end());
      usual = sorted[sorted.size() / 2];
    }
    if (during->operations > 0) arm(*during);
    daemon_.launch();
    if (during->operations > 0) {
      // It may need fewer operations to start.
      (void)daemon_.await_ready();
      faults_.countdown = 0;
    } else {
      spin(static_cast<int64_t>(usual * static_cast<double>(during->spin_us)));
    }
    daemon_.kill_now();
    Kill kill;
    kill.plan = *during;
    kill.wall_ns = wall_now();
    kills->push_back(std::move(kill));
  }
  const auto launched = std::chrono::steady_clock::now();
  daemon_.launch();
  return serve(launched);
}

}  // namespace palyra::chaos
