// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "palyra/buffer.h"

#include <cstdint>
#include <string_view>

namespace palyra::host {

// palyra.buffer/1. One allocation holds header and bytes; the count is atomic. Stateless.
const palyra_buffers& buffer_table();

// A sealed buffer with a copy of `bytes`, or null when memory is out.
palyra_buffer* make_buffer(std::string_view bytes);

// Buffers that exist now, for leak checks and the metrics.
uint64_t live_buffers();

}  // namespace palyra::host
