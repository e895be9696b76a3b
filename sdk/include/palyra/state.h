/* SPDX-License-Identifier: Apache-2.0
 * palyra.state/1 - where an instance may keep files that are not in the journal: derived data and
 * the few named exceptions. */
#ifndef PALYRA_STATE_H
#define PALYRA_STATE_H

#include "palyra/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PALYRA_STATE "palyra.state/1"

typedef struct palyra_state {
  uint32_t struct_size;
  uint32_t minor;
  void* ctx;
  /* The instance's own directory, absolute, mode 0700, existing: <daemon.state_dir>/<instance>.
   * Valid until destroy. [any] */
  palyra_str (*directory)(void* ctx);
} palyra_state;

#ifdef __cplusplus
}
#endif

#endif /* PALYRA_STATE_H */
