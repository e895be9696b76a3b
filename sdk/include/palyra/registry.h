/* SPDX-License-Identifier: Apache-2.0
 * palyra.registry/1 - how plugins find each other. The gateway provides it; the host hands each
 * instance a table bound to its identity.
 *
 * acquire never gives out the publisher's pointer but a call object of the registry. It fills the
 * caller's identity, applies deadlines and credits, turns a second or late completion into a
 * counted fault, holds completions until the caller's start has returned, posts them to the
 * caller's lane, and survives the swap or crash of the publisher (calls then end UNAVAILABLE,
 * RETRYABLE). */
#ifndef PALYRA_REGISTRY_H
#define PALYRA_REGISTRY_H

#include "palyra/abi.h"
#include "palyra/executor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PALYRA_REGISTRY "palyra.registry/1"

typedef struct palyra_publish_options {
  uint32_t struct_size;
  uint32_t encodings; /* bit set of (1u << PALYRA_ENCODING_*); 0 = protobuf only */
  const palyra_field* labels;
  uint32_t label_count;
  uint32_t reserved;
} palyra_publish_options;

/* What acquire gives: the call object. service and self are valid until release. */
typedef struct palyra_client {
  uint32_t struct_size;
  uint32_t encodings; /* of the publication */
  palyra_handle lease;
  const palyra_service* service;
  void* self;
} palyra_client;

enum { PALYRA_WATCH_ADDED = 1, PALYRA_WATCH_REMOVED = 2 };

typedef struct palyra_publication {
  uint32_t struct_size;
  uint32_t encodings;
  palyra_str service_id;
  palyra_str instance;
  const palyra_field* labels;
  uint32_t label_count;
  uint32_t reserved;
} palyra_publication;

typedef struct palyra_watch_sink {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  /* Everything that is published now arrives first, then each change. On the caller's lane. */
  void (*on_change)(void* ctx, uint32_t event, const palyra_publication* publication);
} palyra_watch_sink;

typedef struct palyra_registry {
  uint32_t struct_size;
  uint32_t minor;
  void* ctx;
  /* Offers a service. Visible to others once the instance's start has returned OK. `service` and
   * `self` must stay valid until stop has returned. Errors: PERMISSION_DENIED if the manifest's
   * "provides" does not list the id or the operator's grant excludes it, ALREADY_EXISTS. [any] */
  palyra_status (*publish)(void* ctx, palyra_str service_id, const palyra_service* service,
                           void* self, const palyra_publish_options* options,
                           palyra_handle* publication, palyra_error* error);
  /* [any] */
  void (*withdraw)(void* ctx, palyra_handle publication);
  /* A client of `service_id` at `instance`; an empty instance means the one that [services] binds,
   * or the only one there is. The client may be acquired before the publisher is up: calls then end
   * UNAVAILABLE until it is. Errors: PERMISSION_DENIED if the manifest's "requires" does not list
   * the id, FAILED_PRECONDITION (two candidates, none bound; names both). [any] */
  palyra_status (*acquire)(void* ctx, palyra_str service_id, palyra_str instance,
                           palyra_client* client, palyra_error* error);
  /* Calls in flight are cancelled and still complete. [any] */
  void (*release)(void* ctx, palyra_handle lease);
  /* Publications of `service_id`. [any] Errors as acquire. */
  palyra_status (*watch)(void* ctx, palyra_str service_id, const palyra_watch_sink* sink,
                         palyra_handle* watch, palyra_error* error);
  /* No on_change after this returns on the lane. [lane] */
  void (*unwatch)(void* ctx, palyra_handle watch);
} palyra_registry;

/* ---- towards the host ----------------------------------------------------------------------- */

#define PALYRA_REGISTRY_HOST "palyra.registry_host/1"

/* What the registry must know of an instance. All borrows end with the call, except `executor`,
 * which is valid until close. */
typedef struct palyra_instance_info {
  uint32_t struct_size;
  uint32_t trusted;    /* 1 = shipped with the host or signed by a trusted key */
  palyra_str instance; /* the name in palyra.toml */
  palyra_str plugin_id;
  palyra_str manifest; /* JSON */
  palyra_str grant;    /* JSON: {"provides": [...], "requires": [...]}; empty = as the manifest */
  const palyra_executor* executor; /* the instance's lane */
} palyra_instance_info;

/* Called by the host only. */
typedef struct palyra_registry_host {
  uint32_t struct_size;
  uint32_t minor;
  void* ctx;
  /* `bindings` of [services]: service id -> instance, once, before the first open. [any] */
  void (*bind)(void* ctx, const palyra_field* bindings, uint32_t count);
  /* The table for one instance; valid until close returns. [any] */
  palyra_status (*open)(void* ctx, const palyra_instance_info* info, const palyra_registry** out,
                        palyra_error* error);
  /* The instance's start has returned OK: its publications become visible. [any] */
  void (*activate)(void* ctx, palyra_str instance);
  /* No new calls reach the instance; done(arg) runs once none is in flight, on any thread. [any] */
  void (*drain)(void* ctx, palyra_str instance, palyra_task_fn done, void* arg);
  /* Withdraws all, ends its calls (as caller and as publisher), frees the table. After it returns
   * the publisher's functions are not called any more. [any] [blocking-ok] */
  void (*close)(void* ctx, palyra_str instance);
} palyra_registry_host;

#ifdef __cplusplus
}
#endif

#endif /* PALYRA_REGISTRY_H */
