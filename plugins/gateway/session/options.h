// What an operator sets, as values. plugins/gateway/config.cpp fills it; nothing here is read from
// the outside.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace palyra::gateway {

// One agent of the configuration.
struct AgentConfig {
  std::string agent_id;                      // 1..64 bytes of [a-z0-9_-]
  std::string model;                         // "instance/model"; empty = Options::default_model
  std::string system_prompt;                 // UTF-8, at most 256 KiB; empty = none
  std::vector<std::string> tools;            // allowed; empty = all; a trailing * is a prefix
  std::vector<std::string> workspace_roots;  // absolute directories
  bool is_default = false;                   // the first agent if none says so
};

// What a run gets where its request says 0, and the most that a request may ask for.
struct LimitOptions {
  uint32_t max_turns = 32;
  uint32_t max_tool_calls = 64;
  int64_t max_running_ms = 900'000;
  uint32_t max_repeated_failures = 3;
  uint32_t max_parallel_tools = 4;
  int64_t max_tokens = 0;  // 0 = none
  int64_t max_output_tokens = 4'096;
  int64_t approval_timeout_ms = 900'000;
};

struct Options {
  std::vector<AgentConfig> agents;  // empty = one agent "main" on default_model
  std::string default_model;        // "instance/model"
  LimitOptions limits;
  uint32_t queue_depth = 8;         // runs that may wait behind the active run of a session
  uint32_t coalesce_ms = 1'500;     // window of the coalescer for channels of connectors; 0 = none
  int64_t context_window = 32'768;  // tokens, of a model that does not say
  uint32_t idle_sessions = 256;     // sessions without runs that stay in memory
  int64_t lease_ttl_ms = 30'000;    // of a session's lease
  std::string lease_owner = "gateway";
  int64_t heartbeat_ms = 15'000;
  int64_t cancel_grace_ms = 5'000;
  int64_t partial_every_ms = 250;  // partial text is stored at most this often,
  uint32_t partial_bytes = 4'096;  // or once this much is new
};

}  // namespace palyra::gateway
