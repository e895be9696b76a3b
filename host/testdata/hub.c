/* SPDX-License-Identifier: Apache-2.0
 * A registry that registers nothing: it says on the log what the host asks of it, in order, and
 * writes the documents of palyra.daemon/1 there when it is stopped. With "busy_drains": N in its
 * configuration it is busy for the first N drains; with "unready" it never says that it is ready.
 */
#include "palyra/buffer.h"
#include "palyra/daemon.h"
#include "palyra/log.h"
#include "palyra/manifest.h"
#include "palyra/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct hub {
  const palyra_host* host;
  const palyra_log* log;
  palyra_registry_host registry_host;
  palyra_registry table;
  int busy_drains;
  int unready;
} hub;

static palyra_str str(const char* text) {
  palyra_str out = {text, strlen(text)};
  return out;
}

static void say(const hub* self, const char* what, palyra_str name) {
  char text[256];
  int size = snprintf(text, sizeof(text), "%s %.*s", what, (int)name.len, name.ptr);
  palyra_str message = {text, (uint64_t)size};
  self->log->write(self->log->ctx, PALYRA_LOG_INFO, message, NULL, 0);
}

static void do_bind(void* ctx, const palyra_field* bindings, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) say(ctx, "bind", bindings[i].name);
}
static palyra_status do_open(void* ctx, const palyra_instance_info* info,
                             const palyra_registry** out, palyra_error* error) {
  (void)error;
  hub* self = ctx;
  say(self, info->trusted ? "open trusted" : "open stranger", info->instance);
  *out = &self->table;
  return PALYRA_OK;
}
static void do_activate(void* ctx, palyra_str instance) { say(ctx, "activate", instance); }
static void do_drain(void* ctx, palyra_str instance, palyra_task_fn done, void* arg) {
  say(ctx, "drain", instance);
  done(arg);
}
static void do_close(void* ctx, palyra_str instance) { say(ctx, "close", instance); }

static palyra_status create(const palyra_host* host, void** out, palyra_error* error) {
  (void)error;
  hub* self = calloc(1, sizeof(*self));
  if (self == NULL) return PALYRA_RESOURCE_EXHAUSTED;
  self->host = host;
  self->log = host->facility(host->ctx, str(PALYRA_LOG));
  self->registry_host = (palyra_registry_host){
      sizeof(palyra_registry_host), 0, self, do_bind, do_open, do_activate, do_drain, do_close};
  self->table.struct_size = sizeof(self->table);
  self->table.ctx = self;
  *out = self;
  return PALYRA_OK;
}

static palyra_status init(void* arg, palyra_str config, palyra_error* error) {
  (void)error;
  hub* self = arg;
  char text[1024] = {0};
  memcpy(text, config.ptr, config.len < sizeof(text) - 1 ? config.len : sizeof(text) - 1);
  const char* drains = strstr(text, "\"busy_drains\":");
  if (drains != NULL) self->busy_drains = atoi(drains + strlen("\"busy_drains\":"));
  self->unready = strstr(text, "\"unready\"") != NULL;
  return PALYRA_OK;
}

static palyra_status start(void* arg, palyra_error* error) {
  (void)error;
  hub* self = arg;
  const palyra_daemon* daemon = self->host->facility(self->host->ctx, str(PALYRA_DAEMON));
  say(self, "start", str(""));
  if (!self->unready) daemon->ready(daemon->ctx);
  return PALYRA_OK;
}

static palyra_status drain(void* arg, palyra_mono_ns deadline, palyra_error* error) {
  (void)deadline;
  (void)error;
  hub* self = arg;
  say(self, "drain myself", str(""));
  return self->busy_drains-- > 0 ? PALYRA_UNAVAILABLE : PALYRA_OK;
}

static void stop(void* arg) {
  hub* self = arg;
  const palyra_daemon* daemon = self->host->facility(self->host->ctx, str(PALYRA_DAEMON));
  const palyra_buffers* buffers = self->host->facility(self->host->ctx, str(PALYRA_BUFFER));
  const char* documents[] = {"plugins", "config", "paths", "checks", "metrics"};
  for (size_t i = 0; i < sizeof(documents) / sizeof(*documents); ++i) {
    palyra_buffer* json = NULL;
    if (daemon->describe(daemon->ctx, str(documents[i]), &json, NULL) != PALYRA_OK) continue;
    palyra_bytes bytes = buffers->view(buffers->ctx, json);
    palyra_field field = {{"json", 4}, {(const char*)bytes.ptr, bytes.len}};
    self->log->write(self->log->ctx, PALYRA_LOG_INFO, str(documents[i]), &field, 1);
    buffers->release(buffers->ctx, json);
  }
  say(self, "stop", str(""));
}
static void destroy(void* arg) {
  say(arg, "destroy", str(""));
  free(arg);
}
static const void* query(void* arg, palyra_str id) {
  hub* self = arg;
  if (id.len != strlen(PALYRA_REGISTRY_HOST)) return NULL;
  return memcmp(id.ptr, PALYRA_REGISTRY_HOST, id.len) == 0 ? &self->registry_host : NULL;
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
                                 query};
  plugin.manifest = palyra_manifest_json;
  return &plugin;
}
