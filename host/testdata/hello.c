/* SPDX-License-Identifier: Apache-2.0
 * The smallest plugin: says on the log what it is told. */
#include "palyra/buffer.h"
#include "palyra/config.h"
#include "palyra/executor.h"
#include "palyra/log.h"
#include "palyra/manifest.h"
#include "palyra/state.h"

#include <stdlib.h>
#include <string.h>

typedef struct hello {
  const palyra_host* host;
  const palyra_log* log;
} hello;

static palyra_str str(const char* text) {
  palyra_str out = {text, strlen(text)};
  return out;
}

static void say(const hello* self, const char* message) {
  self->log->write(self->log->ctx, PALYRA_LOG_INFO, str(message), NULL, 0);
}

static palyra_status create(const palyra_host* host, void** self, palyra_error* error) {
  (void)error;
  hello* made = calloc(1, sizeof(*made));
  if (made == NULL) return PALYRA_RESOURCE_EXHAUSTED;
  made->host = host;
  made->log = host->facility(host->ctx, str(PALYRA_LOG));
  *self = made;
  return PALYRA_OK;
}

static palyra_status init(void* self, palyra_str config, palyra_error* error) {
  (void)error;
  hello* me = self;
  palyra_field field = {{"config", 6}, config};
  me->log->write(me->log->ctx, PALYRA_LOG_INFO, str("init"), &field, 1);
  /* A secret that a careless plugin writes to the log. */
  const palyra_config* secrets = me->host->facility(me->host->ctx, str(PALYRA_CONFIG));
  const palyra_buffers* buffers = me->host->facility(me->host->ctx, str(PALYRA_BUFFER));
  palyra_buffer* value = NULL;
  if (secrets->resolve_secret(secrets->ctx, str("env:HELLO_SECRET"), &value, NULL) == PALYRA_OK) {
    palyra_bytes bytes = buffers->view(buffers->ctx, value);
    palyra_str text = {(const char*)bytes.ptr, bytes.len};
    me->log->write(me->log->ctx, PALYRA_LOG_INFO, text, NULL, 0);
    buffers->release(buffers->ctx, value);
  }
  return PALYRA_OK;
}

static void on_lane(void* self) { say(self, "on the lane"); }

static palyra_status start(void* self, palyra_error* error) {
  (void)error;
  hello* me = self;
  const palyra_executor* executor = me->host->facility(me->host->ctx, str(PALYRA_EXECUTOR));
  executor->post(executor->ctx, on_lane, me);
  say(me, "start");
  return PALYRA_OK;
}

static palyra_status drain(void* self, palyra_mono_ns deadline, palyra_error* error) {
  (void)deadline;
  (void)error;
  say(self, "drain");
  return PALYRA_OK;
}

static void stop(void* self) { say(self, "stop"); }
static void destroy(void* self) { free(self); }

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
  plugin.manifest = palyra_manifest_json;
  return &plugin;
}
