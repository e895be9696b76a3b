// What one may do with a conversation beside talking in it: the face of SessionService.
#pragma once

#include "palyra/gateway/v1/sessions.pb.h"
#include "plugins/gateway/gateway.h"

namespace palyra::gateway {

// As Gateway: one instance, on the gateway's lane. Errors of all: INVALID_ARGUMENT, NOT_FOUND,
// PERMISSION_DENIED (another principal's session), UNAVAILABLE (no journal).
class Sessions {
 public:
  virtual ~Sessions() = default;

  virtual Task<Result<api::Session>> set_queue_mode(Caller caller,
                                                    api::SetQueueModeRequest request) = 0;

  virtual Task<Result<api::Session>> branch_session(Caller caller,
                                                    api::BranchSessionRequest request) = 0;
  virtual Task<Result<api::Session>> rewind_session(Caller caller,
                                                    api::RewindSessionRequest request) = 0;
  virtual Task<Result<api::ListTurnsResponse>> list_turns(Caller caller,
                                                          api::ListTurnsRequest request) = 0;
  virtual Task<Result<api::CompareSessionsResponse>> compare_sessions(
      Caller caller, api::CompareSessionsRequest request) = 0;
  virtual Task<Result<api::SearchSessionsResponse>> search_sessions(
      Caller caller, api::SearchSessionsRequest request) = 0;
  virtual Task<Result<palyra::tape::v1::FactPinned>> pin_fact(Caller caller,
                                                              api::PinFactRequest request) = 0;
  virtual Task<Result<api::Session>> unpin_fact(Caller caller, api::UnpinFactRequest request) = 0;
  virtual Task<Result<api::ListPinsResponse>> list_pins(Caller caller,
                                                        api::ListPinsRequest request) = 0;
  virtual Task<Result<api::CompactSessionResponse>> compact_session(
      Caller caller, api::CompactSessionRequest request) = 0;
  virtual Task<Result<api::Session>> expand_session(Caller caller,
                                                    api::ExpandSessionRequest request) = 0;
  virtual Task<Result<api::ExplainRunResponse>> explain_run(Caller caller,
                                                            api::ExplainRunRequest request) = 0;
};

}  // namespace palyra::gateway
