// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace palyra::host {

// Sends `state` ("READY=1") as one datagram to the service manager's socket: a path, or '@' and an
// abstract name. False if it could not be sent; an empty `socket` sends nothing.
bool sd_notify(const std::string& socket, std::string_view state);

}  // namespace palyra::host
