/* SPDX-License-Identifier: Apache-2.0
 * palyra.log/1 - structured log lines. The host adds time and instance name and drops secrets that
 * were resolved through palyra.config/1 from every line. */
#ifndef PALYRA_LOG_H
#define PALYRA_LOG_H

#include "palyra/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PALYRA_LOG "palyra.log/1"

enum {
  PALYRA_LOG_TRACE = 0,
  PALYRA_LOG_DEBUG = 1,
  PALYRA_LOG_INFO = 2,
  PALYRA_LOG_WARN = 3,
  PALYRA_LOG_ERROR = 4
};

typedef struct palyra_log {
  uint32_t struct_size;
  uint32_t minor;
  void* ctx;
  /* 1 if a line of this level would be written. [any] */
  uint32_t (*enabled)(void* ctx, uint32_t level);
  /* Writes one line. `fields` may be NULL if count is 0. [any] */
  void (*write)(void* ctx, uint32_t level, palyra_str message, const palyra_field* fields,
                uint32_t count);
} palyra_log;

#ifdef __cplusplus
}
#endif

#endif /* PALYRA_LOG_H */
