#include "plugins/gateway/admin/admin_impl.h"

#include "plugins/gateway/admin/doctor.h"

#include <nlohmann/json.hpp>

#include <unistd.h>
#include <utility>

namespace palyra::gateway {
namespace {

using Json = nlohmann::json;

// Deny by default, whatever the transport has checked.
Status require_admin(const Caller& caller) {
  if (caller.may("admin")) return {};
  return Status(Code::kPermissionDenied, "this needs a credential with the scope admin");
}

std::string text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Status does_not_parse(const char* what) {
  return Status(Code::kInternal, std::string("the host's document \"") + what +
                                     "\" does not parse; install palyrad and its plugins from "
                                     "the same release");
}

}  // namespace

AdminImpl::AdminImpl(const Clock& clock, Journal& journal, Providers& providers,
                     const Gateway& gateway, Describe describe, Facts facts)
    : clock_(clock),
      journal_(journal),
      providers_(providers),
      gateway_(gateway),
      describe_(std::move(describe)),
      facts_(std::move(facts)) {}

Result<api::ListPluginsResponse> AdminImpl::plugins() const {
  const Result<std::string> document = describe_("plugins");
  if (!document.ok()) return document.status();
  const Json list = Json::parse(*document, nullptr, false);
  if (!list.is_array()) return does_not_parse("plugins");
  api::ListPluginsResponse response;
  for (const Json& entry : list) {
    if (!entry.is_object()) return does_not_parse("plugins");
    api::Plugin& plugin = *response.add_plugins();
    plugin.set_instance(text(entry, "instance"));
    plugin.set_plugin_id(text(entry, "id"));
    plugin.set_version(text(entry, "version"));
    plugin.set_vendor(text(entry, "vendor"));
    plugin.set_path(text(entry, "path"));
    plugin.set_state(text(entry, "state"));
    plugin.set_reason(text(entry, "reason"));
    plugin.set_isolation(text(entry, "isolation"));
    plugin.set_concurrency(text(entry, "concurrency"));
    const auto provides = entry.find("provides");
    if (provides == entry.end() || !provides->is_array()) continue;
    for (const Json& id : *provides) {
      if (id.is_string()) plugin.add_provides(id.get<std::string>());
    }
  }
  return response;
}

Task<Result<api::ListPluginsResponse>> AdminImpl::list_plugins(Caller caller,
                                                               api::ListPluginsRequest) {
  if (Status status = require_admin(caller); !status.ok()) co_return status;
  co_return plugins();
}

Task<Result<api::GetConfigResponse>> AdminImpl::get_config(Caller caller, api::GetConfigRequest) {
  if (Status status = require_admin(caller); !status.ok()) co_return status;
  Result<std::string> document = describe_("config");
  if (!document.ok()) co_return document.status();
  const Json config = Json::parse(*document, nullptr, false);
  if (!config.is_object()) co_return does_not_parse("config");
  api::GetConfigResponse response;
  if (const auto files = config.find("files"); files != config.end() && files->is_array()) {
    for (const Json& file : *files) {
      if (file.is_string()) response.add_files(file.get<std::string>());
    }
  }
  response.set_config_json(std::move(*document));
  co_return response;
}

Task<Result<api::ListModelsResponse>> AdminImpl::list_models(Caller caller,
                                                             api::ListModelsRequest request) {
  if (Status status = require_admin(caller); !status.ok()) co_return status;
  api::ListModelsResponse response;
  response.set_default_model(facts_.default_model);
  for (const std::string& instance : providers_.instances()) {
    const auto models = co_await providers_.models(instance, request.probe());
    api::ModelProvider& provider = *response.add_providers();
    provider.set_instance(instance);
    if (!models.ok()) {
      provider.set_state(service::v1::PROVIDER_STATE_UNREACHABLE);
      provider.set_detail(models.status().message());
      continue;
    }
    provider.set_state(models->state());
    provider.set_detail(models->detail());
    provider.set_endpoint(models->endpoint());
    *provider.mutable_models() = models->models();
  }
  co_return response;
}

Task<Result<api::DoctorResponse>> AdminImpl::doctor(Caller caller, api::DoctorRequest) {
  if (Status status = require_admin(caller); !status.ok()) co_return status;
  api::DoctorResponse response;
  for (Check& check : host_checks(describe_("checks"))) *response.add_checks() = std::move(check);
  const auto info = co_await journal_.info();
  *response.add_checks() = journal_check(info);
  if (backup_ != nullptr && info.ok()) {
    const auto keeping = co_await backup_->check({});
    // A backend without a keeper has its own tools.
    if (keeping.status().code() != Code::kUnimplemented) {
      for (Check& check : journal_keeping_checks(keeping)) {
        *response.add_checks() = std::move(check);
      }
    }
  }
  if (storage_problem_) *response.add_checks() = storage_check(storage_problem_());
  const std::vector<std::string> instances = providers_.instances();
  for (const std::string& instance : instances) {
    const auto models = co_await providers_.models(instance, false);
    *response.add_checks() = provider_check(instance, models);
  }
  *response.add_checks() = default_model_check(facts_.default_model, instances);
  *response.add_checks() = owner_token_check(facts_.owner_token_path);
  int64_t known_ms = 0;
  if (audit_key_) {
    const AuditKeyFacts key = audit_key_();
    known_ms = key.newest_ms;
    *response.add_checks() = audit_key_check(key);
  }
  *response.add_checks() = exposure_check(facts_.endpoint);
  *response.add_checks() = clock_check(clock_.wall_now(), known_ms);
  co_return response;
}

Task<Result<api::GetStatusResponse>> AdminImpl::get_status(Caller caller, api::GetStatusRequest) {
  if (Status status = require_admin(caller); !status.ok()) co_return status;
  api::GetStatusResponse response;
  response.set_version(facts_.version);
  response.set_started_at_ms(facts_.started_at_ms);
  response.set_pid(static_cast<uint32_t>(::getpid()));
  const Gateway::Load load = gateway_.load();
  response.set_active_runs(load.active_runs);
  response.set_waiting_runs(load.waiting_runs);
  response.set_queued_inputs(load.queued_inputs);
  if (const auto list = plugins(); list.ok()) {
    for (const api::Plugin& plugin : list->plugins()) {
      if (plugin.state() == "active") {
        response.set_plugins_active(response.plugins_active() + 1);
      } else if (plugin.state() == "quarantined") {
        response.set_plugins_quarantined(response.plugins_quarantined() + 1);
      }
    }
  }
  const auto info = co_await journal_.info();
  if (info.ok()) {
    response.set_journal(info->write_refusal().empty()
                             ? info->backend()
                             : info->backend() + ", refusing writes: " + info->write_refusal());
    response.set_journal_position(info->position());
    response.set_journal_bytes(info->size_bytes());
  } else {
    response.set_journal("none: " + info.status().message());
  }
  co_return response;
}

}  // namespace palyra::gateway
