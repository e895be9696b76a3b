/* SPDX-License-Identifier: Apache-2.0
 * palyra.clock/1 - time comes from the host, so that replay and simulation hold. */
#ifndef PALYRA_CLOCK_H
#define PALYRA_CLOCK_H

#include "palyra/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PALYRA_CLOCK "palyra.clock/1"

typedef struct palyra_clock {
  uint32_t struct_size;
  uint32_t minor;
  void* ctx;
  /* [any] */
  palyra_mono_ns (*mono_now)(void* ctx);
  /* Nanoseconds since 1970-01-01T00:00:00Z; may jump. [any] */
  int64_t (*wall_now)(void* ctx);
} palyra_clock;

#ifdef __cplusplus
}
#endif

#endif /* PALYRA_CLOCK_H */
