/* SPDX-License-Identifier: Apache-2.0
 * One plugin, many faults: each build defines one of them. */
#include "palyra/executor.h"
#include "palyra/manifest.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int something;

static palyra_status fail(palyra_error* error, const char* message) {
  error->code = PALYRA_INTERNAL;
  snprintf(error->message, sizeof(error->message), "%s", message);
  return PALYRA_INTERNAL;
}

static palyra_status create(const palyra_host* host, void** self, palyra_error* error) {
#ifdef FAIL_IN_CREATE
  return fail(error, "create does not feel like it");
#endif
  (void)error;
  (void)fail;
  (void)host;
  *self = (void*)(uintptr_t)host;
  return PALYRA_OK;
}

static palyra_status init(void* self, palyra_str config, palyra_error* error) {
  (void)self;
  (void)config;
  (void)error;
#ifdef HANG_IN_INIT
  for (;;) pause();
#endif
#ifdef LONG_ERROR
  memset(error->message, 'x', sizeof(error->message));
  return PALYRA_INTERNAL;
#endif
#ifdef STRANGE_CODE
  return -4711;
#endif
  return PALYRA_OK;
}

#ifdef HANG_ON_LANE
static void hang(void* arg) {
  (void)arg;
  for (;;) pause();
}
#endif

static palyra_status start(void* self, palyra_error* error) {
  (void)self;
  (void)error;
#ifdef HANG_IN_START
  for (;;) pause();
#endif
#ifdef FAIL_IN_START
  return fail(error, "port 1 is taken");
#endif
#ifdef HANG_ON_LANE
  const palyra_host* host = self;
  const palyra_str id = {PALYRA_EXECUTOR, strlen(PALYRA_EXECUTOR)};
  const palyra_executor* executor = host->facility(host->ctx, id);
  executor->post(executor->ctx, hang, NULL);
#endif
  return PALYRA_OK;
}

static palyra_status drain(void* self, palyra_mono_ns deadline, palyra_error* error) {
  (void)self;
  (void)deadline;
  (void)error;
  return PALYRA_OK;
}

static void stop(void* self) {
  (void)self;
#ifdef HANG_IN_STOP
  for (;;) pause();
#endif
}

static void destroy(void* self) {
  (void)self;
  something = 1;
}

PALYRA_EXPORT const palyra_plugin* palyra_plugin_entry(void) {
  static palyra_plugin plugin = {sizeof(plugin),
                                 PALYRA_ABI_MAJOR,
                                 PALYRA_ABI_MINOR,
                                 {0, 0},
                                 create,
                                 init,
                                 start,
                                 drain,
                                 stop,
                                 destroy,
                                 NULL};
#ifdef OTHER_MANIFEST
  static const char other[] = "{\"id\": \"dev.palyra.gateway\"}";
  plugin.manifest.ptr = other;
  plugin.manifest.len = sizeof(other) - 1;
#else
  plugin.manifest = palyra_manifest_json;
#endif
#ifdef LYING_ABI
  plugin.abi_major = 7;
#endif
#ifdef SMALL_DESCRIPTOR
  plugin.struct_size = 16;
#endif
#ifdef NULL_STEP
  plugin.start = NULL;
#endif
#ifdef NO_DESCRIPTOR
  return NULL;
#endif
  return &plugin;
}
