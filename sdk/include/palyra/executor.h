/* SPDX-License-Identifier: Apache-2.0
 * palyra.executor/1 - the instance's lane, its timers, and threads that may block.
 *
 * The lane is serial: functions posted to it run one at a time, in the order of posting. With
 * concurrency "any" in the manifest there is no such order and functions may run in parallel. */
#ifndef PALYRA_EXECUTOR_H
#define PALYRA_EXECUTOR_H

#include "palyra/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PALYRA_EXECUTOR "palyra.executor/1"

typedef void (*palyra_task_fn)(void* arg);

typedef struct palyra_executor {
  uint32_t struct_size;
  uint32_t minor;
  void* ctx;
  /* Runs fn(arg) on the lane, never inside this call. After stop: dropped. [any] */
  void (*post)(void* ctx, palyra_task_fn fn, void* arg);
  /* Runs fn(arg) on the lane at or after `when`. The handle names the timer. [any] */
  palyra_handle (*post_at)(void* ctx, palyra_mono_ns when, palyra_task_fn fn, void* arg);
  /* 1 if the timer was removed and fn will not run; 0 if it ran, is about to run, or is unknown. On
   * the lane the answer is final. [any] */
  uint32_t (*cancel_timer)(void* ctx, palyra_handle timer);
  /* Runs fn(arg) on a host thread that may block (file I/O, resolution); at most 4 at once for one
   * instance, more queue. [any]; fn is [pool] */
  void (*post_blocking)(void* ctx, palyra_task_fn fn, void* arg);
} palyra_executor;

#ifdef __cplusplus
}
#endif

#endif /* PALYRA_EXECUTOR_H */
