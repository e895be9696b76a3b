/* SPDX-License-Identifier: Apache-2.0
 *
 * palyra/abi.h - the contract between the Palyra host and a plugin. C11, nothing else needed.
 *
 * A plugin is a shared library with ONE exported function, palyra_plugin_entry(). It returns a
 * constant descriptor and does nothing else. The host creates instances from the descriptor and
 * hands each one a palyra_host; everything else is found by a string id:
 *
 *   facilities   palyra.log/1, .clock/1, .executor/1, ...   small typed tables, one header each
 *   the registry palyra.registry/1                          publish and acquire services
 *   services     palyra.provider/1, palyra.tool/1, ...      one table for all: palyra_service
 *
 * Thread words, at each function:
 *   [any]          may be called from any thread, at any time between create and destroy
 *   [lane]         called on the instance's lane: serial, never two at once; return within 10 ms
 *   [pool]         called on a host thread that may block
 *   [blocking-ok]  the callee may block up to the watchdog of the step
 *   [state: x]     only in the named lifecycle state
 *
 * Growth: this header is version PALYRA_ABI_MAJOR.PALYRA_ABI_MINOR. Minor versions only append.
 * Every struct that crosses starts with struct_size, set by whoever allocates it; whoever fills or
 * reads it touches at most that many bytes. A changed meaning is a new id, never an edit.
 *
 * Memory: three shapes only. A borrow (palyra_str, palyra_bytes: valid until the function returns),
 * a palyra_buffer (reference counted, allocated by the host; whoever receives one owns one
 * reference), a palyra_handle. Nothing is allocated on one side and freed on the other.
 *
 * No exception, C++ type, FILE*, errno, locale or file descriptor crosses. Every function pointer
 * is noexcept.
 */
#ifndef PALYRA_ABI_H
#define PALYRA_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PALYRA_ABI_MAJOR 0
#define PALYRA_ABI_MINOR 9

/* ---- values ------------------------------------------------------------------------------- */

/* gRPC's canonical codes. A number that the receiver does not know means INTERNAL. */
typedef int32_t palyra_status;
enum {
  PALYRA_OK = 0,
  PALYRA_CANCELLED = 1,
  PALYRA_UNKNOWN = 2,
  PALYRA_INVALID_ARGUMENT = 3,
  PALYRA_DEADLINE_EXCEEDED = 4,
  PALYRA_NOT_FOUND = 5,
  PALYRA_ALREADY_EXISTS = 6,
  PALYRA_PERMISSION_DENIED = 7,
  PALYRA_RESOURCE_EXHAUSTED = 8,
  PALYRA_FAILED_PRECONDITION = 9,
  PALYRA_ABORTED = 10,
  PALYRA_OUT_OF_RANGE = 11,
  PALYRA_UNIMPLEMENTED = 12,
  PALYRA_INTERNAL = 13,
  PALYRA_UNAVAILABLE = 14,
  PALYRA_DATA_LOSS = 15,
  PALYRA_UNAUTHENTICATED = 16
};

/* Slot and generation. 0 = none. Never a pointer; a stale handle is refused, not dereferenced. */
typedef uint64_t palyra_handle;

/* CLOCK_MONOTONIC in nanoseconds, the same in a parent and its children. */
typedef int64_t palyra_mono_ns;
#define PALYRA_NO_DEADLINE INT64_MAX

/* UTF-8, borrowed, length in bytes, no NUL promised. Frozen: the only structs without a size. */
typedef struct palyra_str {
  const char* ptr;
  uint64_t len;
} palyra_str;

typedef struct palyra_bytes {
  const uint8_t* ptr;
  uint64_t len;
} palyra_bytes;

/* Reference counted bytes, immutable once sealed. Made and read through palyra.buffer/1. */
typedef struct palyra_buffer palyra_buffer;

/* One entry of a list of names and values (labels, log fields). */
typedef struct palyra_field {
  palyra_str name;
  palyra_str value;
} palyra_field;

/* ---- errors ------------------------------------------------------------------------------- */

enum {
  PALYRA_ERROR_RETRYABLE = 1u << 0, /* the same call may succeed later */
  PALYRA_ERROR_USER_FAULT = 1u << 1 /* the caller's input is wrong; retrying cannot help */
};

#define PALYRA_ERROR_MESSAGE_SIZE 496

/* Owned by the caller, filled by the callee. Every palyra_error* may be NULL. `message` is UTF-8,
 * NUL-terminated, one sentence that says what was wrong, where, and what to do; never a secret. */
typedef struct palyra_error {
  uint32_t struct_size;
  palyra_status code;
  uint32_t flags;
  uint32_t reserved;
  char message[PALYRA_ERROR_MESSAGE_SIZE];
} palyra_error;

/* ---- services: the universal table ---------------------------------------------------------- */

enum {
  PALYRA_ENCODING_PROTOBUF = 0, /* messages of palyra.service.v1, binary */
  PALYRA_ENCODING_JSON = 1      /* the same messages in proto3's JSON form, UTF-8 */
};

/* What a caller says about one call. A NULL pointer means all defaults. */
typedef struct palyra_call_options {
  uint32_t struct_size;
  uint32_t encoding;       /* PALYRA_ENCODING_*, of request, items and result; default protobuf */
  palyra_mono_ns deadline; /* absolute; PALYRA_NO_DEADLINE = none; enforced by the registry */
  palyra_str traceparent;  /* W3C trace context, empty = none */
  palyra_str idempotency_key; /* empty = none; at most 128 bytes */
  uint32_t credits;      /* items the caller is ready to take at once; 0 = no items until grant */
  uint32_t caller_flags; /* set by the registry, ignored from a caller: PALYRA_CALLER_* */
  palyra_str caller;     /* set by the registry: the calling instance's name */
} palyra_call_options;

enum {
  PALYRA_CALLER_HUB = 1u << 0 /* the call comes from the gateway itself */
};

/* The caller's side of a call, passed by pointer; the callee copies at most struct_size bytes.
 * on_item: 0..n times, within the granted credits. on_done: exactly once if start returned OK,
 * never if it did not, never inside start. Towards a plugin both arrive on its lane. A publisher
 * may call them from any thread. Each buffer passed carries one reference to the receiver. `result`
 * may be NULL; after a failure it may hold the contract's failure detail. `error` is borrowed and
 * NULL if the status is OK. */
typedef struct palyra_sink {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  void (*on_item)(void* ctx, palyra_buffer* item);
  void (*on_done)(void* ctx, palyra_status status, palyra_buffer* result,
                  const palyra_error* error);
} palyra_sink;

/* A service: method numbers and bytes. Publishers fill one; callers get one from acquire, which is
 * the registry's call object, never the publisher's pointer. */
typedef struct palyra_service {
  uint32_t struct_size;
  uint32_t minor; /* of the service's contract */
  /* Begins a call. Publisher: [lane], or [any] with concurrency "any". Caller: [any]. `request`,
   * `options` and `sink` are borrowed. *op names the call in grant and cancel. Errors:
   * UNIMPLEMENTED for an unknown method, INVALID_ARGUMENT for bytes that do not parse. */
  palyra_status (*start)(void* self, uint32_t method, palyra_bytes request,
                         const palyra_call_options* options, const palyra_sink* sink,
                         palyra_handle* op, palyra_error* error);
  /* Adds to the items that may be sent. Unknown or finished op: no-op. Threads as start. */
  void (*grant)(void* self, palyra_handle op, uint32_t credits);
  /* A request to stop early; on_done still comes. Idempotent; late = no-op. Threads as start. */
  void (*cancel)(void* self, palyra_handle op);
} palyra_service;

/* ---- the host, as a plugin sees it ----------------------------------------------------------- */

/* Valid from create until destroy returns. One per instance. */
typedef struct palyra_host {
  uint32_t struct_size;
  uint32_t minor; /* the host's PALYRA_ABI_MINOR */
  void* ctx;
  /* The table of a facility for this instance, or NULL if this host has none. Valid until destroy.
   * palyra.registry/1 is there for every plugin but the gateway. [any] */
  const void* (*facility)(void* ctx, palyra_str id);
} palyra_host;

/* ---- a plugin, as the host sees it ---------------------------------------------------------- */

/* Lifecycle: create -> init -> start -> (active) -> drain -> stop -> destroy. Every step runs with
 * the instance's lane held, so no lane function runs at the same time, and has a watchdog (init and
 * start 10 s, drain its deadline, stop 10 s): an instance that overruns it is quarantined. */
typedef struct palyra_plugin {
  uint32_t struct_size;
  uint16_t abi_major;
  uint16_t abi_minor;
  palyra_str manifest; /* the JSON of the ELF note, byte for byte */

  /* Makes an instance. No I/O, no threads. [blocking-ok] */
  palyra_status (*create)(const palyra_host* host, void** self, palyra_error* error);
  /* Takes the configuration: a JSON object, already validated against the manifest's schema.
   * May publish services; they stay invisible until start has returned OK. [blocking-ok] */
  palyra_status (*init)(void* self, palyra_str config_json, palyra_error* error);
  /* Opens files and sockets, starts the threads the manifest declares. [blocking-ok] */
  palyra_status (*start)(void* self, palyra_error* error);
  /* Finish what is in flight until `deadline`; new calls no longer arrive. Does not wait, as the
   * lane is held: UNAVAILABLE says that work goes on, and the host lets the lane run and asks
   * again, until the deadline. After OK the host still waits for calls to complete. [blocking-ok]
   */
  palyra_status (*drain)(void* self, palyra_mono_ns deadline, palyra_error* error);
  /* Close everything and join own threads. Unfinished calls are completed by the registry.
   * Also called after a failed init or start. [blocking-ok] */
  void (*stop)(void* self);
  /* Frees the instance. No host function may be called after it returns. [blocking-ok] */
  void (*destroy)(void* self);
  /* An interface that the plugin offers to the host itself (palyra.registry_host/1 of the gateway),
   * or NULL. May itself be NULL. Asked once, after init. [blocking-ok] */
  const void* (*query)(void* self, palyra_str id);
} palyra_plugin;

#if defined(_WIN32)
#define PALYRA_EXPORT __declspec(dllexport)
#else
#define PALYRA_EXPORT __attribute__((visibility("default")))
#endif

#define PALYRA_PLUGIN_ENTRY "palyra_plugin_entry"

/* The one exported symbol. Returns a constant; runs no other code. [any] */
typedef const palyra_plugin* (*palyra_plugin_entry_fn)(void);
#ifdef PALYRA_BUILDING_PLUGIN
PALYRA_EXPORT const palyra_plugin* palyra_plugin_entry(void);
#endif

/* ---- the manifest --------------------------------------------------------------------------- */

/* The manifest is a JSON object in an ELF note (owner "Palyra", type 1), so that the host can read
 * it without running any code of the plugin. palyra_add_plugin() of the SDK's CMake package turns
 * manifest.json into that note and into palyra_manifest_json for the descriptor. Its keys:
 *
 *   id           "dev.palyra.openai"          reverse DNS, required
 *   version      "1.2.0"                      required
 *   vendor       "Palyra"                     required
 *   licence      "Apache-2.0"                 SPDX expression
 *   abi          {"major": 0, "minor": 9}     built against; minor must not exceed the host's
 *   provides     [{"id": "palyra.tool/1"}]    what it may publish
 *   requires     [{"id": "palyra.journal/1", "optional": false}]   what it may acquire
 *   concurrency  "lane" | "any"               default "lane"
 *   isolation    "either" | "in_process" | "process"               default "either"
 *   capabilities {"net": ["host:port"], "fs": [..], "exec": false, "secrets": [..], "threads": 0}
 *   swap         "overlap" | "exclusive" | "restart"               default "restart"
 *   section      "tools"                      the top-level section of palyra.toml it claims
 *   config       { JSON Schema }              of section and [plugins.NAME.config]; a property with
 *                                             "x-palyra-secret": true takes only env:, file:,
 * vault:
 */
#define PALYRA_NOTE_OWNER "Palyra"
#define PALYRA_NOTE_MANIFEST 1u

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* PALYRA_ABI_H */
