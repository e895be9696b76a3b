// Wiring of the gateway: the registry from init on, the transport from start on, runs as soon as
// there is a journal.
#include "palyra/plugin.hpp"

#include "palyra/client.hpp"
#include "palyra/json_codec.hpp"
#include "palyra/services.h"
#include "plugins/common/digest/digest.h"
#include "plugins/gateway/admin/admin_impl.h"
#include "plugins/gateway/admin/backups.h"
#include "plugins/gateway/admission/admission.h"
#include "plugins/gateway/audit/audit_impl.h"
#include "plugins/gateway/config.h"
#include "plugins/gateway/endpoint_file.h"
#include "plugins/gateway/metrics.h"
#include "plugins/gateway/registry/registry_host.h"
#include "plugins/gateway/replay/replays_impl.h"
#include "plugins/gateway/retention/storage_impl.h"
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/gateway/transport/grpc/backup_service.h"
#include "plugins/gateway/transport/grpc/server.h"
#include "plugins/gateway/wiring/backup_client.h"
#include "plugins/gateway/wiring/journal_client.h"
#include "plugins/gateway/wiring/providers_client.h"
#include "plugins/gateway/wiring/tools_client.h"
#include "plugins/gateway/wiring/ulid_ids.h"
#include "plugins/gateway/wiring/upkeep_client.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace palyra::gateway {
namespace {

constexpr const char* kVersion = "0.1.0";
// A daemon without a journal is up, too: it can say what is wrong. A journal that is there may take
// long to come up; one that will not come is not waited for.
constexpr int64_t kReadyWithoutJournal = 5 * kNanosPerSecond;
constexpr int64_t kLookForJournalEvery = 200 * kNanosPerMilli;
constexpr int64_t kMetricsEvery = 10 * kNanosPerSecond;
constexpr int64_t kRetentionEvery = 3600 * kNanosPerSecond;

// The names of palyra.daemon/1's "plugins", in its order.
std::vector<std::string> instance_order(const Result<std::string>& document) {
  std::vector<std::string> names;
  if (!document.ok()) return names;
  const auto list = nlohmann::json::parse(*document, nullptr, false);
  if (!list.is_array()) return names;
  for (const auto& entry : list) {
    if (entry.is_object() && entry.contains("instance") && entry["instance"].is_string()) {
      names.push_back(entry["instance"].get<std::string>());
    }
  }
  return names;
}

// An agent that names no workspace gets one of its own below `directory`, so that tools for files
// work and reach nothing else.
Status give_workspaces(const std::string& directory, Options& options) {
  if (options.agents.empty()) {
    AgentConfig& main = options.agents.emplace_back();
    main.agent_id = "main";
    main.is_default = true;
  }
  for (AgentConfig& agent : options.agents) {
    if (!agent.workspace_roots.empty()) continue;
    const std::string path = directory + "/workspace/" + agent.agent_id;
    std::error_code problem;
    std::filesystem::create_directories(path, problem);
    if (problem) {
      return Status(Code::kPermissionDenied, "cannot make the workspace of agent " +
                                                 agent.agent_id + ", " + path + ": " +
                                                 problem.message());
    }
    agent.workspace_roots.push_back(path);
  }
  return {};
}

// Whether the host has instances that it has not started yet.
bool more_to_start(const Result<std::string>& document) {
  if (!document.ok()) return false;
  const auto list = nlohmann::json::parse(*document, nullptr, false);
  return list.is_array() && std::any_of(list.begin(), list.end(), [](const auto& entry) {
           return entry.is_object() && entry.value("state", "") == "found" &&
                  entry.value("reason", "").empty();
         });
}

// Members are in the order in which they need each other; the registry outlives all, because other
// instances are stopped after this one.
class GatewayPlugin : public Plugin {
 public:
  using Plugin::Plugin;
  ~GatewayPlugin() override {
    take_down();
    host().set_registry(nullptr);
  }

  Status init(std::string_view config_json) override {
    use_protobuf_json();
    Result<GatewayConfig> config = parse_config(config_json);
    if (!config.ok()) return config.status();
    config_ = std::move(*config);
    if (Status status = transport::check_listen_address(config_.grpc_listen); !status.ok()) {
      return status;
    }
    return open_registry();
  }

  const void* query(std::string_view id) override {
    return id == PALYRA_REGISTRY_HOST && registry_ ? registry_->table() : nullptr;
  }

  Status start() override {
    const std::string directory = host().state_directory();
    const std::string token_path = directory + "/owner.token";
    Result<std::string> token = owner_token(token_path, host().random());
    if (!token.ok()) return token.status();
    owner_token_ = std::move(*token);

    if (Status status = give_workspaces(directory, config_.options); !status.ok()) return status;
    ids_ = std::make_unique<UlidIds>(host().clock(), host().random());
    journal_ = std::make_unique<JournalClient>(host());
    providers_ = std::make_unique<ProvidersClient>(host());
    tools_ = std::make_unique<ToolsClient>(host());
    credentials_ = std::make_unique<Credentials>(*ids_);
    credentials_->add_local(owner_token_, kOwnerPrincipal);
    if (!config_.admin_auth_token.empty()) {
      Result<std::string> second = host().resolve_secret(config_.admin_auth_token);
      if (!second.ok()) return second.status();
      credentials_->add_local(*second, kOwnerPrincipal);
    }
    admission_ = std::make_unique<Admission>(host().clock(), *credentials_, config_.admission);
    gateway_ = std::make_unique<GatewayImpl>(
        World{host().clock(), host().executor(), *ids_, *journal_, *providers_, *tools_},
        config_.options, config_.policy);
    replays_ = std::make_unique<ReplaysImpl>(
        World{host().clock(), host().executor(), *ids_, *journal_, *providers_, *tools_}, *gateway_,
        *gateway_, check_schema_text, kVersion);
    upkeep_ = std::make_unique<UpkeepClient>(host());
    storage_ = std::make_unique<retention::StorageImpl>(
        World{host().clock(), host().executor(), *ids_, *journal_, *providers_, *tools_}, *gateway_,
        *upkeep_, config_.retention);
    AdminImpl::Facts facts;
    facts.version = kVersion;
    facts.started_at_ms = host().clock().wall_now() / kNanosPerMilli;
    facts.default_model = config_.options.default_model;
    facts.owner_token_path = token_path;
    admin_ = std::make_unique<AdminImpl>(
        host().clock(), *journal_, *providers_, *gateway_,
        [this](std::string_view what) { return host().describe_daemon(what); }, std::move(facts));

    Result<audit::SigningKey> key = audit::SigningKey::load(directory + "/audit.key");
    if (!key.ok()) return key.status();
    audit::Checkpointer::Options checkpoints;
    checkpoints.every_ns = config_.checkpoint_every_s * kNanosPerSecond;
    checkpointer_ = std::make_unique<audit::Checkpointer>(
        host().clock(), host().executor(), *journal_, *journal_, std::move(*key), checkpoints);
    checkpointer_->on_failure([this](const Status& status) {
      host().warn("no checkpoint could be made; it is tried again",
                  {{"reason", status.to_string()}});
    });
    checkpointer_->on_tampered([this](const std::string& sentence) {
      host().error("the store was changed behind the daemon's back; see: palyra audit verify",
                   {{"what", sentence}});
    });
    journal_->on_commit([this](const ::palyra::service::v1::CommitResponse& response) {
      if (checkpointer_) checkpointer_->committed(response);
    });
    admin_->set_audit_key([this, path = directory + "/audit.key"] {
      AuditKeyFacts key_facts{path, audit::SigningKey::public_key_in(path),
                              digest::to_hex(checkpointer_->key().public_key()), ""};
      if (key_facts.in_file.ok()) key_facts.in_file = digest::to_hex(*key_facts.in_file);
      if (const auto& last = checkpointer_->last()) {
        key_facts.newest = digest::to_hex(last->public_key);
        key_facts.newest_ms = last->time_ms;
      }
      key_facts.tampered = checkpointer_->tampered();
      return key_facts;
    });
    audit_ = std::make_unique<AuditImpl>(host().clock(), host().executor(), *journal_, *journal_,
                                         *checkpointer_);
    gateway_->index_searches(*journal_);
    journal_backup_ = std::make_unique<BackupClient>(host());
    backups_ = std::make_unique<Backups>(*journal_backup_);
    admin_->set_backup(*journal_backup_);
    admin_->set_storage([this] { return storage_->problem(); });

    calls_ = std::make_unique<TaskScope>();
    server_ = std::make_unique<transport::GrpcServer>(
        host().executor(), *calls_, host().clock(), *admission_,
        transport::Faces{*gateway_, *gateway_, *admin_, *audit_, *replays_, *storage_});
    server_->add(transport::backup_service(*backups_));
    if (Status status = server_->start(config_.grpc_listen); !status.ok()) return status;
    admin_->set_endpoint(server_->endpoint());
    endpoint_path_ = directory + "/endpoint";
    if (Status status = write_endpoint(endpoint_path_, server_->endpoint()); !status.ok()) {
      return status;
    }
    host().info("the gRPC API listens", {{"endpoint", server_->endpoint()}});

    if (Status status = providers_->start(); !status.ok()) return status;
    if (Status status = tools_->start(instance_order(host().describe_daemon("plugins")));
        !status.ok()) {
      return status;
    }
    auto watch = ServiceWatch::start(
        host(), PALYRA_SERVICE_JOURNAL,
        [this](bool added, const ServiceWatch::Publication&) { journal_changed(added); });
    if (!watch.ok()) return watch.status();
    journal_watch_ = std::move(*watch);
    host().spawn(ready_without_journal());
    metrics_ = std::make_unique<GatewayMetrics>(host());
    host().spawn(report_metrics());
    return {};
  }

  // Asked again while it says UNAVAILABLE, with the lane free in between.
  Status drain(int64_t) override {
    if (!gateway_) return {};
    if (!draining_) {
      draining_ = true;
      ++bring_up_;
      server_->set_serving(false);
      gateway_->begin_drain();
      server_->end_calls();
      host().spawn(shut_down());
    }
    if (shut_down_) return {};
    return Status(Code::kUnavailable, "runs are being put down", PALYRA_ERROR_RETRYABLE);
  }

  void stop() override { take_down(); }

 private:
  Status open_registry() {
    const auto* clock = detail::facility<palyra_clock>(host().abi(), PALYRA_CLOCK);
    const auto* executor = detail::facility<palyra_executor>(host().abi(), PALYRA_EXECUTOR);
    if (clock == nullptr) return Host::missing(PALYRA_CLOCK);
    registry_ = std::make_unique<registry::RegistryHost>(host().buffers(), clock);
    // The host names no instance to the hub itself; its directory is called as it is.
    name_ = std::filesystem::path(host().state_directory()).filename().string();
    if (name_.empty()) name_ = "gateway";
    palyra_instance_info info{};
    info.struct_size = sizeof(info);
    info.trusted = 1;
    info.instance = to_str(name_);
    info.plugin_id = to_str("dev.palyra.gateway");
    info.manifest = palyra_manifest_json;
    info.executor = executor;
    auto table = registry_->open_hub(info);
    if (!table.ok()) return table.status();
    host().set_registry(*table);
    return {};
  }

  void journal_changed(bool added) {
    ++bring_up_;
    journal_is_here_ = added;
    if (added) {
      host().spawn(bring_up(bring_up_));
    } else if (server_) {
      host().warn("the journal is gone; no run can start until it is back");
      server_->set_serving(false);
    }
  }

  // A run that began or went on without its provider or tools would take them for gone.
  Task<void> others_started(uint64_t number) {
    const auto pause = [this] {
      return sleep_until(host().executor(), host().clock().mono_now() + 2 * kNanosPerMilli);
    };
    while (number == bring_up_ && !draining_ && more_to_start(host().describe_daemon("plugins"))) {
      co_await pause();
    }
    // What they have published is on its way to the lane.
    do {
      co_await pause();
    } while (number == bring_up_ && !draining_ && !tools_->settled());
  }

  // From a journal that has just appeared to a daemon that serves. Tries again until it works or
  // the journal changes.
  Task<void> bring_up(uint64_t number) {
    co_await others_started(number);
    for (int64_t attempt = 1; number == bring_up_ && !draining_; ++attempt) {
      Status status =
          co_await credentials_->load(*journal_, owner_token_, host().clock().wall_now());
      if (number != bring_up_) co_return;
      if (status.ok() && !recovered_) {
        status = co_await gateway_->recover();
        if (number != bring_up_) co_return;
        recovered_ = status.ok();
      }
      if (status.ok()) {
        status = co_await checkpointer_->start();
        if (number != bring_up_) co_return;
      }
      if (status.ok()) {
        // Before anybody can go on with what should be gone.
        const Status erased = co_await storage_->finish_erasures();
        if (number != bring_up_) co_return;
        if (!erased.ok()) say_upkeep_failed(erased);
        server_->set_serving(true);
        start_retention();
        host().info("serving", {{"endpoint", server_->endpoint()}});
        say_ready();
        co_return;
      }
      host().error("the journal cannot be used yet",
                   {{"attempt", attempt}, {"reason", status.to_string()}});
      co_await sleep_until(host().executor(), host().clock().mono_now() +
                                                  std::min<int64_t>(attempt, 10) * kNanosPerSecond);
    }
  }

  void start_retention() {
    if (std::exchange(retention_runs_, true)) return;
    storage_->on_work([this] { host().spawn(run_retention()); });
    host().spawn(run_retention());
  }

  Task<void> run_retention() {
    std::function<void(const Status&)> failed = [this](const Status& status) {
      say_upkeep_failed(status);
    };
    return storage_->run(kRetentionEvery, std::move(failed));
  }

  void say_upkeep_failed(const Status& status) {
    host().warn("upkeep of the store could not do all; see: palyra storage status",
                {{"reason", status.to_string()}});
  }

  Task<void> ready_without_journal() {
    const int64_t until = host().clock().mono_now() + kReadyWithoutJournal;
    bool comes = true;
    while (!said_ready_ && comes && host().clock().mono_now() < until) {
      // Looked at before the pause: what has just been published is on its way to the lane.
      comes = more_to_start(host().describe_daemon("plugins"));
      co_await sleep_until(host().executor(), host().clock().mono_now() + kLookForJournalEvery);
      comes = comes || journal_is_here_;
    }
    if (!said_ready_) {
      host().warn("no journal yet: only health, doctor, configuration and the plugin list answer");
    }
    say_ready();
  }

  void say_ready() {
    if (std::exchange(said_ready_, true) || host().daemon() == nullptr) return;
    host().daemon()->ready(host().daemon()->ctx);
  }

  Task<void> report_metrics() {
    for (;;) {
      metrics_->report(gateway_->load(), registry_->registry().faults(),
                       server_ ? server_->deadline_breaches() : 0, registry_->registry().stats());
      co_await sleep_until(host().executor(), host().clock().mono_now() + kMetricsEvery);
    }
  }

  Task<void> shut_down() {
    co_await gateway_->shutdown();
    const auto last = co_await checkpointer_->cover();
    if (!last.ok()) {
      host().warn("no checkpoint at shutdown; the next start makes it",
                  {{"reason", last.status().to_string()}});
    } else if (*last) {
      host().info("the last checkpoint; keep it elsewhere as a witness",
                  {{"witness", audit::to_line(**last)}});
    }
    shut_down_ = true;
  }

  // Idempotent. Nothing suspended may outlive what it uses: transport, then tasks, then the rest.
  void take_down() {
    ++bring_up_;
    if (server_) server_->stop();
    if (calls_) calls_->clear();
    host().tasks().clear();
    journal_watch_.reset();
    if (tools_) tools_->stop();
    if (providers_) providers_->stop();
    server_.reset();
    calls_.reset();
    backups_.reset();
    admin_.reset();
    audit_.reset();
    checkpointer_.reset();
    replays_.reset();
    storage_.reset();
    gateway_.reset();
    if (!endpoint_path_.empty()) remove_endpoint(std::exchange(endpoint_path_, {}));
    if (registry_) registry_->close(name_);
  }

  std::unique_ptr<registry::RegistryHost> registry_;
  std::string name_;
  GatewayConfig config_;
  std::string owner_token_;
  std::string endpoint_path_;
  std::unique_ptr<UlidIds> ids_;
  std::unique_ptr<JournalClient> journal_;
  std::unique_ptr<BackupClient> journal_backup_;
  std::unique_ptr<ProvidersClient> providers_;
  std::unique_ptr<ToolsClient> tools_;
  std::unique_ptr<Credentials> credentials_;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<GatewayImpl> gateway_;
  std::unique_ptr<ReplaysImpl> replays_;
  std::unique_ptr<UpkeepClient> upkeep_;
  std::unique_ptr<retention::StorageImpl> storage_;
  std::unique_ptr<AdminImpl> admin_;
  std::unique_ptr<audit::Checkpointer> checkpointer_;
  std::unique_ptr<AuditImpl> audit_;
  std::unique_ptr<Backups> backups_;
  std::unique_ptr<TaskScope> calls_;
  std::unique_ptr<transport::GrpcServer> server_;
  std::unique_ptr<ServiceWatch> journal_watch_;
  std::unique_ptr<GatewayMetrics> metrics_;
  uint64_t bring_up_ = 0;  // the current attempt; an older one ends itself
  bool journal_is_here_ = false;
  bool recovered_ = false;
  bool said_ready_ = false;
  bool retention_runs_ = false;
  bool draining_ = false;
  bool shut_down_ = false;
};

}  // namespace
}  // namespace palyra::gateway

PALYRA_PLUGIN(palyra::gateway::GatewayPlugin)
