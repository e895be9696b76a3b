// Administration as every transport calls it; the scope is checked before. On the gateway's lane.
#pragma once

#include "palyra/gateway/v1/admin.pb.h"
#include "plugins/gateway/gateway.h"

namespace palyra::gateway {

class Admin {
 public:
  virtual ~Admin() = default;

  virtual Task<Result<api::ListPluginsResponse>> list_plugins(Caller caller,
                                                              api::ListPluginsRequest request) = 0;
  virtual Task<Result<api::GetConfigResponse>> get_config(Caller caller,
                                                          api::GetConfigRequest request) = 0;
  virtual Task<Result<api::ListModelsResponse>> list_models(Caller caller,
                                                            api::ListModelsRequest request) = 0;
  virtual Task<Result<api::DoctorResponse>> doctor(Caller caller, api::DoctorRequest request) = 0;
  virtual Task<Result<api::GetStatusResponse>> get_status(Caller caller,
                                                          api::GetStatusRequest request) = 0;
};

}  // namespace palyra::gateway
