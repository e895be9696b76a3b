/* SPDX-License-Identifier: Apache-2.0
 * palyra.metrics/1 - counters, gauges and histograms. Register once, keep the handle. Names are
 * Prometheus names with their unit ("palyra_journal_commit_seconds"); the host adds the label
 * instance. */
#ifndef PALYRA_METRICS_H
#define PALYRA_METRICS_H

#include "palyra/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PALYRA_METRICS "palyra.metrics/1"

enum { PALYRA_METRIC_COUNTER = 0, PALYRA_METRIC_GAUGE = 1, PALYRA_METRIC_HISTOGRAM = 2 };

typedef struct palyra_metrics {
  uint32_t struct_size;
  uint32_t minor;
  void* ctx;
  /* The series of this name and labels; the same arguments give the same handle. 0 if the name is
   * taken by another kind. [any] */
  palyra_handle (*series)(void* ctx, uint32_t kind, palyra_str name, palyra_str help,
                          const palyra_field* labels, uint32_t count);
  /* Counter: adds (>= 0). Gauge: sets. Histogram: observes. [any], wait-free */
  void (*record)(void* ctx, palyra_handle series, double value);
} palyra_metrics;

#ifdef __cplusplus
}
#endif

#endif /* PALYRA_METRICS_H */
