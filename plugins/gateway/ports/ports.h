// What sessions and runs need from outside, as interfaces. plugins/gateway/wiring implements them
// over acquired services; tests/sim implements them in memory. All functions are called on the
// gateway's lane and resume there.
#pragma once

#include "palyra/method.hpp"
#include "palyra/service/v1/journal.pb.h"
#include "palyra/service/v1/provider.pb.h"
#include "palyra/service/v1/tool.pb.h"
#include "palyra/status.hpp"
#include "palyra/task.hpp"
#include "palyra/world.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace palyra::gateway {

// Makes ULIDs (26 characters, Crockford base 32, sortable by time).
class Ids {
 public:
  virtual ~Ids() = default;
  virtual std::string ulid() = 0;
};

// palyra.journal/1. Errors pass through unchanged.
class Journal {
 public:
  virtual ~Journal() = default;
  virtual Task<Result<service::v1::CommitResponse>> commit(service::v1::CommitRequest request) = 0;
  virtual Task<Result<service::v1::ReadResponse>> read(service::v1::ReadRequest request) = 0;
  virtual Task<Result<service::v1::GetResponse>> get(service::v1::GetRequest request) = 0;
  virtual Task<Result<service::v1::QueryResponse>> query(service::v1::QueryRequest request) = 0;
  virtual Task<Result<service::v1::VerifyResponse>> verify(service::v1::VerifyRequest request) = 0;
  virtual Task<Result<service::v1::InfoResponse>> info() = 0;
  virtual Task<Status> declare(service::v1::DeclareRequest request) = 0;
  // The SHA-256 of `data` once it is durable.
  virtual Task<Result<std::string>> put_blob(std::string data) = 0;
  virtual Task<Result<std::string>> get_blob(std::string digest) = 0;
};

// How one model turn ended.
struct ChatOutcome {
  Status status;  // OK: `result` counts; otherwise `failure`
  service::v1::ChatResult result;
  service::v1::ChatFailure failure;
};

// All palyra.provider/1 instances.
class Providers {
 public:
  virtual ~Providers() = default;
  // One turn. on_event runs on the lane, in order, before the task ends. UNAVAILABLE if there is no
  // such instance.
  virtual Task<ChatOutcome> chat(std::string instance, Serialised<service::v1::ChatRequest> request,
                                 std::function<void(const service::v1::ChatEvent&)> on_event,
                                 CancelToken cancel) = 0;
  // What an instance offers; for the context window. Cached; never probes unless asked.
  virtual Task<Result<service::v1::ListModelsResponse>> models(std::string instance,
                                                               bool probe) = 0;
  virtual std::vector<std::string> instances() const = 0;
};

// One entry of the merged catalogue.
struct Tool {
  std::string instance;
  service::v1::ToolInfo info;
};

// All tools of all palyra.tool/1 instances at one moment. Immutable.
struct Catalogue {
  std::map<std::string, Tool> tools;  // by name
  std::string digest;                 // SHA-256 of its content, 32 bytes
};

class Tools {
 public:
  virtual ~Tools() = default;
  // Never null; empty while nothing is published.
  virtual std::shared_ptr<const Catalogue> catalogue() const = 0;
  virtual Task<Result<service::v1::InvokeResult>> invoke(
      std::string instance, service::v1::InvokeRequest request, int64_t deadline_ns,
      std::function<void(const service::v1::InvokeProgress&)> on_progress, CancelToken cancel) = 0;
  virtual Task<Result<service::v1::VerifyCallResponse>> verify(
      std::string instance, service::v1::VerifyCallRequest request, int64_t deadline_ns) = 0;
};

// Everything, handed down by constructor.
struct World {
  const Clock& clock;
  Executor& executor;
  Ids& ids;
  Journal& journal;
  Providers& providers;
  Tools& tools;
};

}  // namespace palyra::gateway
