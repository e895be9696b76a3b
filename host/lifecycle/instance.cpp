// SPDX-License-Identifier: Apache-2.0
#include "host/lifecycle/instance.h"

#include "host/lifecycle/step_runner.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace palyra::host {
namespace {

using std::chrono::milliseconds;

// Between two questions whether a busy plugin has finished.
constexpr milliseconds kDrainPause{10};

palyra_mono_ns now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

milliseconds until(palyra_mono_ns deadline) {
  const palyra_mono_ns left = deadline - now();
  return milliseconds(left <= 0 ? 0 : left / 1'000'000 + 1);
}

std::string seconds(milliseconds limit) {
  std::string text = std::to_string(limit.count() / 1000);
  if (const auto rest = limit.count() % 1000; rest != 0) {
    text += '.' + std::to_string(1000 + rest).substr(1);
    while (text.back() == '0') text.pop_back();
  }
  return text + " s";
}

Status from_plugin(palyra_status code, const palyra_error* error) {
  return Status::from_abi(code, error);
}

// What must outlive everything because a hung thread may still use it.
std::vector<std::shared_ptr<Instance>>& graveyard() {
  static auto* graves = new std::vector<std::shared_ptr<Instance>>;
  return *graves;
}

}  // namespace

Instance::Instance(const Candidate& candidate, SharedFacilities& shared,
                   const std::string& directory, const palyra_daemon* daemon,
                   milliseconds step_timeout)
    : name_(candidate.settings.name),
      found_(candidate.plugin),
      config_(candidate.config),
      grant_(candidate.settings.grant.is_null() ? "" : candidate.settings.grant.dump()),
      step_timeout_(step_timeout),
      facilities_(shared, name_, directory, found_.manifest.parallel, daemon) {}

Status Instance::step(const char* name, milliseconds limit, bool hold, Call call) {
  if (abandoned_) {
    return {Code::kUnavailable, "instance '" + name_ + "' hangs in an earlier step"};
  }
  auto outcome = std::make_shared<Status>();
  const auto end = run_step(
      [self = shared_from_this(), outcome, hold, run = std::move(call)] {
        struct Hold {
          Lane* lane;
          explicit Hold(Lane* held) : lane(held) {
            if (lane != nullptr) lane->hold();
          }
          ~Hold() {
            if (lane != nullptr) lane->release();
          }
        } const held(hold ? &self->facilities_.lane() : nullptr);
        palyra_error error = {};
        error.struct_size = sizeof(error);
        *outcome = run(&error);
      },
      limit);
  const std::string where = "instance '" + name_ + "': " + name;
  if (!end.finished) {
    abandon();
    return {Code::kDeadlineExceeded, where + " did not return within " + seconds(limit)};
  }
  if (end.threw) {
    return {Code::kInternal, where + " threw an exception: " + end.what};
  }
  if (outcome->ok()) return {};
  return {outcome->code(),
          where + " failed: " +
              (outcome->message().empty() ? code_name(outcome->code()) : outcome->message())};
}

void Instance::abandon() {
  abandoned_ = true;
  graveyard().push_back(shared_from_this());
}

Status Instance::open_registry(const palyra_registry_host* registry) {
  return step("registration", step_timeout_, false, [this, registry](palyra_error* error) {
    palyra_instance_info info = {};
    info.struct_size = sizeof(info);
    info.trusted = found_.manifest.first_party() ? 1 : 0;
    info.instance = to_str(name_);
    info.plugin_id = to_str(found_.manifest.id);
    info.manifest = to_str(found_.manifest_text);
    info.grant = to_str(grant_);
    info.executor = &facilities_.lane().table();
    const palyra_registry* table = nullptr;
    const palyra_status code = registry->open(registry->ctx, &info, &table, error);
    if (code != PALYRA_OK) return from_plugin(code, error);
    if (table == nullptr) return Status(Code::kInternal, "the registry gave no table");
    facilities_.set_registry(table);
    registry_ = registry;
    return Status();
  });
}

Status Instance::prepare(const palyra_registry_host* registry) {
  Status status = step("load", step_timeout_, false, [this](palyra_error*) {
    auto library = load(found_);
    if (!library) return library.status();
    library_ = std::move(*library);
    return Status();
  });
  if (status.ok() && registry != nullptr) status = open_registry(registry);
  if (!status.ok()) return status;
  status = step("create", step_timeout_, true, [this](palyra_error* error) {
    const palyra_status code = library_->plugin().create(&facilities_.host(), &self_, error);
    created_ = code == PALYRA_OK;
    return from_plugin(code, error);
  });
  if (!status.ok()) return status;
  return step("init", step_timeout_, true, [this](palyra_error* error) {
    return from_plugin(library_->plugin().init(self_, to_str(config_), error), error);
  });
}

Status Instance::start() {
  return step("start", step_timeout_, true, [this](palyra_error* error) {
    return from_plugin(library_->plugin().start(self_, error), error);
  });
}

const void* Instance::query(std::string_view id) {
  auto found = std::make_shared<const void*>(nullptr);
  const Status status =
      step("query", step_timeout_, true, [this, found, key = std::string(id)](palyra_error*) {
        const auto& plugin = library_->plugin();
        if (plugin.query != nullptr) *found = plugin.query(self_, to_str(key));
        return Status();
      });
  return status.ok() ? *found : nullptr;
}

void Instance::activate() {
  if (registry_ != nullptr) registry_->activate(registry_->ctx, to_str(name_));
}

void Instance::wait_for_calls(palyra_mono_ns deadline) {
  if (registry_ == nullptr) return;
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
  };
  auto shared = std::make_shared<Shared>();
  // The registry calls back once, perhaps after this function has given up.
  auto* const owned = new std::shared_ptr<Shared>(shared);
  registry_->drain(
      registry_->ctx, to_str(name_),
      [](void* arg) {
        const std::unique_ptr<std::shared_ptr<Shared>> mine(
            static_cast<std::shared_ptr<Shared>*>(arg));
        const std::lock_guard lock((*mine)->mutex);
        (*mine)->done = true;
        (*mine)->changed.notify_all();
      },
      owned);
  std::unique_lock lock(shared->mutex);
  shared->changed.wait_for(lock, until(deadline), [&] { return shared->done; });
}

Status Instance::drain(palyra_mono_ns deadline) {
  if (abandoned_ || !created_) return {};
  Status status;
  for (;;) {
    status =
        step("drain", until(deadline) + step_timeout_, true, [this, deadline](palyra_error* error) {
          return from_plugin(library_->plugin().drain(self_, deadline, error), error);
        });
    if (status.code() != Code::kUnavailable || abandoned_ || now() >= deadline) break;
    std::this_thread::sleep_for(kDrainPause);
  }
  if (!abandoned_) wait_for_calls(deadline);
  return status;
}

Status Instance::stop() {
  if (!created_ || stopped_ || abandoned_) return {};
  Status status = step("stop", step_timeout_, true, [this](palyra_error*) {
    library_->plugin().stop(self_);
    return Status();
  });
  stopped_ = true;
  if (abandoned_) return status;
  const Status closed = step("the end of its lane", step_timeout_, false, [this](palyra_error*) {
    facilities_.lane().close();
    return Status();
  });
  return status.ok() ? closed : status;
}

void Instance::finish() {
  if (registry_ != nullptr) {
    // Also for an abandoned one: callers must learn that it is gone.
    const StepEnd end =
        run_step([self = shared_from_this(),
                  registry = registry_] { registry->close(registry->ctx, to_str(self->name_)); },
                 step_timeout_);
    registry_ = nullptr;
    if (!end.finished && !abandoned_) abandon();
  }
  if (abandoned_ || !created_) return;
  const Status status = step("destroy", step_timeout_, false, [this](palyra_error*) {
    library_->plugin().destroy(self_);
    return Status();
  });
  created_ = false;
}

}  // namespace palyra::host
