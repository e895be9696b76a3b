// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace palyra::host {

// Bytes of the kernel's generator, fit for keys. Small requests are served from a stock of the
// calling thread, whose used part is wiped. Never fails: without randomness the process ends. [any]
void fill_random(uint8_t* out, size_t size);

}  // namespace palyra::host
