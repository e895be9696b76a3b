/* SPDX-License-Identifier: Apache-2.0
 * palyra.config/1 - secrets by reference. The configuration itself arrives in init. */
#ifndef PALYRA_CONFIG_H
#define PALYRA_CONFIG_H

#include "palyra/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PALYRA_CONFIG "palyra.config/1"

typedef struct palyra_config {
  uint32_t struct_size;
  uint32_t minor;
  void* ctx;
  /* Reads the secret that `reference` names: "env:NAME" or "file:PATH" (at most 64 KiB, one
   * trailing newline removed). Ask at the time of use and do not keep it longer than needed.
   * Errors: NOT_FOUND (variable unset, file missing), PERMISSION_DENIED, INVALID_ARGUMENT (not a
   * reference). [any] [blocking-ok] */
  palyra_status (*resolve_secret)(void* ctx, palyra_str reference, palyra_buffer** value,
                                  palyra_error* error);
} palyra_config;

#ifdef __cplusplus
}
#endif

#endif /* PALYRA_CONFIG_H */
