/* SPDX-License-Identifier: Apache-2.0
 * palyra.buffer/1 - reference counted bytes. Write between alloc and seal; afterwards immutable. */
#ifndef PALYRA_BUFFER_H
#define PALYRA_BUFFER_H

#include "palyra/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PALYRA_BUFFER "palyra.buffer/1"

typedef struct palyra_buffers {
  uint32_t struct_size;
  uint32_t minor;
  void* ctx;
  /* A buffer of `size` bytes (0..1 GiB) with one reference; *data is writable until seal. NULL when
   * memory is out. [any] */
  palyra_buffer* (*alloc)(void* ctx, uint64_t size, uint8_t** data);
  /* Fixes the content to the first `size` bytes (<= the allocated size). [any] */
  void (*seal)(void* ctx, palyra_buffer* buffer, uint64_t size);
  /* The content; valid while a reference is held. [any] */
  palyra_bytes (*view)(void* ctx, const palyra_buffer* buffer);
  /* [any] */
  void (*retain)(void* ctx, palyra_buffer* buffer);
  /* NULL is a no-op. [any] */
  void (*release)(void* ctx, palyra_buffer* buffer);
} palyra_buffers;

#ifdef __cplusplus
}
#endif

#endif /* PALYRA_BUFFER_H */
