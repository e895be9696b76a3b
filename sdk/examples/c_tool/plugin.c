/* text.count: a tool in plain C. Calls are JSON; no protobuf is needed.
 *
 * Everything runs on the instance's lane, so there are no locks. An answer is written into its call
 * in start and sent by a posted function, as the contract asks. */
#include "json.h"
#include "palyra/abi.h"
#include "palyra/buffer.h"
#include "palyra/executor.h"
#include "palyra/log.h"
#include "palyra/manifest.h"
#include "palyra/registry.h"
#include "palyra/services.h"
#include "text_count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CALLS = 32, MAX_ANSWER = 640, MAX_REQUEST = 1 << 20 };

struct plugin;

/* A call between start and its completion. */
struct call {
  struct plugin* plugin;
  int busy;
  char answer[MAX_ANSWER]; /* JSON, NUL-terminated */
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
    "{\"tools\":[{\"name\":\"text.count\","
    "\"description\":\"Counts bytes, characters, words and lines of a text.\","
    "\"inputSchemaJson\":\"{\\\"type\\\":\\\"object\\\",\\\"required\\\":[\\\"text\\\"],"
    "\\\"properties\\\":{\\\"text\\\":{\\\"type\\\":\\\"string\\\"}},"
    "\\\"additionalProperties\\\":false}\","
    "\"effect\":\"EFFECT_CLASS_NONE\",\"access\":\"TOOL_ACCESS_READ\",\"parallelSafe\":true,"
    "\"provenance\":\"PROVENANCE_OPERATOR\"}]}";

/* Writes the InvokeResult of one call. A wrong argument is a result that the model sees. */
static palyra_status invoke(palyra_bytes request, char* answer, palyra_error* error) {
  const char* json = (const char*)request.ptr;
  char name[65];
  struct text_counts counts;
  char *arguments, *words;
  long size;
  if (request.len > MAX_REQUEST)
    return fail(error, PALYRA_INVALID_ARGUMENT, "c_tool takes requests of at most 1 MiB");
  size = json_string(json, request.len, "name", name, sizeof name);
  if (size < 0) return fail(error, PALYRA_INVALID_ARGUMENT, "the request names no tool");
  if (size != 10 || memcmp(name, "text.count", 10) != 0)
    return fail(error, PALYRA_NOT_FOUND, "c_tool offers text.count only");
  arguments = malloc(2 * request.len + 1);
  if (arguments == NULL) return fail(error, PALYRA_RESOURCE_EXHAUSTED, "out of memory");
  words = arguments + request.len;
  size = json_string(json, request.len, "argumentsJson", arguments, request.len);
  if (size >= 0) size = json_string(arguments, (size_t)size, "text", words, request.len);
  if (size < 0) {
    snprintf(answer, MAX_ANSWER, "%s",
             "{\"content\":\"text.count needs a string argument \\\"text\\\".\",\"isError\":true}");
  } else {
    counts = text_count(words, (size_t)size);
    snprintf(answer, MAX_ANSWER,
             "{\"content\":\"{\\\"bytes\\\":%lu,\\\"characters\\\":%lu,\\\"words\\\":%lu,"
             "\\\"lines\\\":%lu}\",\"mediaType\":\"application/json\"}",
             (unsigned long)counts.bytes, (unsigned long)counts.characters,
             (unsigned long)counts.words, (unsigned long)counts.lines);
  }
  free(arguments);
  return PALYRA_OK;
}

static void finish(void* arg) {
  struct call* call = arg;
  const palyra_buffers* buffers = call->plugin->buffers;
  const palyra_sink sink = call->sink;
  const size_t size = strlen(call->answer);
  uint8_t* data = NULL;
  palyra_buffer* result = buffers->alloc(buffers->ctx, size, &data);
  call->busy = 0;
  if (result == NULL) {
    sink.on_done(sink.ctx, PALYRA_RESOURCE_EXHAUSTED, NULL, NULL);
    return;
  }
  memcpy(data, call->answer, size);
  buffers->seal(buffers->ctx, result, size);
  sink.on_done(sink.ctx, PALYRA_OK, result, NULL);
}

static palyra_status service_start(void* self, uint32_t method, palyra_bytes request,
                                   const palyra_call_options* options, const palyra_sink* sink,
                                   palyra_handle* op, palyra_error* error) {
  struct plugin* plugin = self;
  struct call* call = plugin->calls;
  palyra_status status = PALYRA_OK;
  if (options == NULL || options->encoding != PALYRA_ENCODING_JSON)
    return fail(error, PALYRA_UNIMPLEMENTED, "c_tool speaks JSON only");
  while (call < plugin->calls + MAX_CALLS && call->busy) ++call;
  if (call == plugin->calls + MAX_CALLS)
    return fail(error, PALYRA_RESOURCE_EXHAUSTED, "c_tool is busy: try again");
  if (method == PALYRA_TOOL_LIST) {
    snprintf(call->answer, MAX_ANSWER, "%s", kTools);
  } else if (method == PALYRA_TOOL_INVOKE) {
    status = invoke(request, call->answer, error);
  } else {
    status = fail(error, PALYRA_UNIMPLEMENTED, "c_tool has no such method");
  }
  if (status != PALYRA_OK) return status;
  call->plugin = plugin;
  call->busy = 1;
  call->sink = *sink;
  *op = ++plugin->last_op;
  plugin->executor->post(plugin->executor->ctx, finish, call);
  return PALYRA_OK;
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
    plugin->log->write(plugin->log->ctx, PALYRA_LOG_INFO, text("c_tool is ready"), NULL, 0);
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
