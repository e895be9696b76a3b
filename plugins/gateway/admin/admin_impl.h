// Administration over the host's documents and the gateway's own state.
#pragma once

#include "plugins/gateway/admin/admin.h"
#include "plugins/gateway/admin/doctor.h"
#include "plugins/gateway/ports/journal_backup.h"

#include <functional>
#include <string>
#include <string_view>

namespace palyra::gateway {

// On the gateway's lane. Works without a journal: what needs it then says so.
class AdminImpl final : public Admin {
 public:
  // What only the wiring knows.
  struct Facts {
    std::string version;
    int64_t started_at_ms = 0;
    std::string default_model;  // "instance/model"
    std::string owner_token_path;
    std::string endpoint;  // "host:port", once bound
  };
  // A JSON document of palyra.daemon/1 by name.
  using Describe = std::function<Result<std::string>(std::string_view)>;

  AdminImpl(const Clock& clock, Journal& journal, Providers& providers, const Gateway& gateway,
            Describe describe, Facts facts);

  // Without it doctor does not tell of backups and of the store's check. Outlives this.
  void set_backup(JournalBackup& backup) { backup_ = &backup; }
  // Without it doctor does not tell of the audit's key.
  void set_audit_key(std::function<AuditKeyFacts()> look) { audit_key_ = std::move(look); }
  // Without it doctor does not tell of retention and erasures. The answer is storage_check()'s.
  void set_storage(std::function<std::string()> problem) { storage_problem_ = std::move(problem); }
  void set_endpoint(std::string endpoint) { facts_.endpoint = std::move(endpoint); }

  Task<Result<api::ListPluginsResponse>> list_plugins(Caller caller,
                                                      api::ListPluginsRequest request) override;
  Task<Result<api::GetConfigResponse>> get_config(Caller caller,
                                                  api::GetConfigRequest request) override;
  Task<Result<api::ListModelsResponse>> list_models(Caller caller,
                                                    api::ListModelsRequest request) override;
  Task<Result<api::DoctorResponse>> doctor(Caller caller, api::DoctorRequest request) override;
  Task<Result<api::GetStatusResponse>> get_status(Caller caller,
                                                  api::GetStatusRequest request) override;

 private:
  Result<api::ListPluginsResponse> plugins() const;

  const Clock& clock_;
  Journal& journal_;
  Providers& providers_;
  const Gateway& gateway_;
  JournalBackup* backup_ = nullptr;
  std::function<AuditKeyFacts()> audit_key_;
  std::function<std::string()> storage_problem_;
  const Describe describe_;
  Facts facts_;
};

}  // namespace palyra::gateway
