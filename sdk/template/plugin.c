/* A plugin to copy: the lifecycle, a log line, and one service in plain C.
 *
 * It offers palyra.tool/1 in JSON with one tool, hello.say. Everything runs on the instance's lane,
 * so there are no locks. An answer is posted rather than given inside start, as the contract asks.
 */
#include "palyra/abi.h"
#include "palyra/buffer.h"
#include "palyra/executor.h"
#include "palyra/log.h"
#include "palyra/manifest.h"
#include "palyra/registry.h"
#include "palyra/services.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_CALLS = 32 };

struct plugin;

/* A call between start and its completion. */
struct call {
  struct plugin* plugin;
  const char* answer; /* NULL = free */
  palyra_sink sink;
};

struct plugin {
  const palyra_executor* executor;
  const palyra_buffers* buffers;
  const palyra_registry* registry;
  const palyra_log* log; /* may be NULL */
  palyra_handle last_op;
  struct call calls[MAX_CALLS];
};

static palyra_str text(const char* z) {
  palyra_str s = {z, strlen(z)};
  return s;
}

static palyra_status fail(palyra_error* error, palyra_status code, const char* message) {
  if (error != NULL && error->struct_size >= sizeof *error) {
    error->code = code;
    error->flags = 0;
    strncpy(error->message, message, sizeof error->message - 1);
    error->message[sizeof error->message - 1] = '\0';
  }
  return code;
}

/* ---- the service ---------------------------------------------------------------------------- */

static const char kTools[] =
    "{\"tools\":[{\"name\":\"hello.say\",\"description\":\"Says hello.\","
    "\"inputSchemaJson\":\"{\\\"type\\\":\\\"object\\\"}\",\"effect\":\"EFFECT_CLASS_NONE\","
    "\"access\":\"TOOL_ACCESS_READ\",\"parallelSafe\":true}]}";

static void finish(void* arg) {
  struct call* call = arg;
  const palyra_buffers* buffers = call->plugin->buffers;
  const char* answer = call->answer;
  palyra_sink sink = call->sink;
  uint8_t* data = NULL;
  palyra_buffer* result;
  call->answer = NULL;
  result = buffers->alloc(buffers->ctx, strlen(answer), &data);
  if (result == NULL) {
    sink.on_done(sink.ctx, PALYRA_RESOURCE_EXHAUSTED, NULL, NULL);
    return;
  }
  memcpy(data, answer, strlen(answer));
  buffers->seal(buffers->ctx, result, strlen(answer));
  sink.on_done(sink.ctx, PALYRA_OK, result, NULL);
}

static palyra_status service_start(void* self, uint32_t method, palyra_bytes request,
                                   const palyra_call_options* options, const palyra_sink* sink,
                                   palyra_handle* op, palyra_error* error) {
  struct plugin* plugin = self;
  const char* answer;
  int i;
  (void)request;
  if (options == NULL || options->encoding != PALYRA_ENCODING_JSON)
    return fail(error, PALYRA_UNIMPLEMENTED, "my_plugin speaks JSON only");
  switch (method) {
    case PALYRA_TOOL_LIST:
      answer = kTools;
      break;
    case PALYRA_TOOL_INVOKE:
      answer = "{\"content\":\"Hello.\"}";
      break;
    default:
      return fail(error, PALYRA_UNIMPLEMENTED, "my_plugin has no such method");
  }
  for (i = 0; i < MAX_CALLS; ++i) {
    struct call* call = &plugin->calls[i];
    if (call->answer != NULL) continue;
    call->plugin = plugin;
    call->answer = answer;
    call->sink = *sink;
    *op = ++plugin->last_op;
    plugin->executor->post(plugin->executor->ctx, finish, call);
    return PALYRA_OK;
  }
  return fail(error, PALYRA_RESOURCE_EXHAUSTED, "my_plugin is busy: try again");
}

/* Answers are immediate and carry no items: there is nothing to grant or to cut short. */
static void service_grant(void* self, palyra_handle op, uint32_t credits) {
  (void)self, (void)op, (void)credits;
}
static void service_cancel(void* self, palyra_handle op) { (void)self, (void)op; }

static const palyra_service kService = {sizeof(palyra_service), 0, service_start, service_grant,
                                        service_cancel};

/* ---- the lifecycle -------------------------------------------------------------------------- */

static palyra_status create(const palyra_host* host, void** self, palyra_error* error) {
  struct plugin* plugin = calloc(1, sizeof *plugin);
  if (plugin == NULL) return fail(error, PALYRA_RESOURCE_EXHAUSTED, "out of memory");
  plugin->executor = host->facility(host->ctx, text(PALYRA_EXECUTOR));
  plugin->buffers = host->facility(host->ctx, text(PALYRA_BUFFER));
  plugin->registry = host->facility(host->ctx, text(PALYRA_REGISTRY));
  plugin->log = host->facility(host->ctx, text(PALYRA_LOG));
  if (plugin->executor == NULL || plugin->buffers == NULL || plugin->registry == NULL) {
    free(plugin);
    return fail(error, PALYRA_FAILED_PRECONDITION, "this host lacks executor, buffer or registry");
  }
  *self = plugin;
  return PALYRA_OK;
}

static palyra_status init(void* self, palyra_str config_json, palyra_error* error) {
  struct plugin* plugin = self;
  palyra_publish_options options = {sizeof options, 1u << PALYRA_ENCODING_JSON, NULL, 0, 0};
  palyra_handle publication;
  (void)config_json; /* already valid against the manifest's schema */
  return plugin->registry->publish(plugin->registry->ctx, text(PALYRA_SERVICE_TOOL), &kService,
                                   plugin, &options, &publication, error);
}

static palyra_status start(void* self, palyra_error* error) {
  struct plugin* plugin = self;
  (void)error;
  if (plugin->log != NULL)
    plugin->log->write(plugin->log->ctx, PALYRA_LOG_INFO, text("my_plugin is ready"), NULL, 0);
  return PALYRA_OK;
}

static palyra_status drain(void* self, palyra_mono_ns deadline, palyra_error* error) {
  (void)self, (void)deadline, (void)error;
  return PALYRA_OK;
}
static void stop(void* self) { (void)self; }
static void destroy(void* self) { free(self); }

const palyra_plugin* palyra_plugin_entry(void) {
  static palyra_plugin descriptor = {sizeof(palyra_plugin),
                                     PALYRA_ABI_MAJOR,
                                     PALYRA_ABI_MINOR,
                                     {NULL, 0},
                                     create,
                                     init,
                                     start,
                                     drain,
                                     stop,
                                     destroy,
                                     NULL};
  descriptor.manifest = palyra_manifest_json;
  return &descriptor;
}
