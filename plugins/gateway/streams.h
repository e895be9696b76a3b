// Calls that stream in one direction, as their handlers see the client. On the gateway's lane.
#pragma once

#include "palyra/task.hpp"

#include <functional>
#include <optional>

namespace palyra::gateway {

// Hands one message to the client and waits until there is room for another; false once nobody
// reads any more. At most one at a time.
template <typename Message>
using Send = std::function<Task<bool>(Message)>;
// The client's next message; empty after its last.
template <typename Message>
using Receive = std::function<Task<std::optional<Message>>()>;
// Whether the client has left, so that nobody reads the answer.
using Gone = std::function<bool()>;

}  // namespace palyra::gateway
