/* SPDX-License-Identifier: Apache-2.0
 * palyra.random/1 - randomness comes from the host. Suitable for keys. */
#ifndef PALYRA_RANDOM_H
#define PALYRA_RANDOM_H

#include "palyra/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PALYRA_RANDOM "palyra.random/1"

typedef struct palyra_random {
  uint32_t struct_size;
  uint32_t minor;
  void* ctx;
  /* Fills `size` bytes. Never fails. [any] */
  void (*fill)(void* ctx, uint8_t* out, uint64_t size);
} palyra_random;

#ifdef __cplusplus
}
#endif

#endif /* PALYRA_RANDOM_H */
