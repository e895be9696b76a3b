/* SPDX-License-Identifier: Apache-2.0
 * The manifest as a value, for the descriptor: made from manifest.json by palyra_add_plugin(). */
#ifndef PALYRA_MANIFEST_H
#define PALYRA_MANIFEST_H

#include "palyra/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const palyra_str palyra_manifest_json;

#ifdef __cplusplus
}
#endif

#endif /* PALYRA_MANIFEST_H */
