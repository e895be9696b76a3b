/* SPDX-License-Identifier: Apache-2.0
 * palyra.daemon/1 - what the host knows, for the gateway's administration. Only the instance that
 * provides the registry gets this facility. */
#ifndef PALYRA_DAEMON_H
#define PALYRA_DAEMON_H

#include "palyra/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PALYRA_DAEMON "palyra.daemon/1"

typedef struct palyra_daemon {
  uint32_t struct_size;
  uint32_t minor;
  void* ctx;
  /* A JSON document by name. [any] Errors: NOT_FOUND for an unknown name.
   *   "plugins"  [{"instance","id","version","vendor","path","state","reason","isolation",
   *               "provides":[],"concurrency"}]  state: found, active, quarantined, stopped
   *   "config"   the effective configuration, secrets as references, plus "files"
   *   "paths"    {"config","state_dir","log","plugins":[]}
   *   "checks"   [{"name","status":"ok|warn|fail","message","fix"}]  the host's part of doctor
   *   "metrics"  [{"name","kind","labels":{},"value"}] */
  palyra_status (*describe)(void* ctx, palyra_str what, palyra_buffer** json, palyra_error* error);
  /* Tells the host that the daemon serves clients: ends start-up, feeds sd_notify. [any] */
  void (*ready)(void* ctx);
  /* Asks for a graceful stop, as SIGTERM does. [any] */
  void (*request_stop)(void* ctx);
} palyra_daemon;

#ifdef __cplusplus
}
#endif

#endif /* PALYRA_DAEMON_H */
