// Reckoning: what must be true when all is over.
#pragma once

#include "tests/sim/clients.h"
#include "tests/sim/sim.h"

namespace palyra::sim {

// Reads the store as anybody may, compares it with what was acknowledged, promised and done
// outside.
Outcome reckon(Scene& scene, Database& database, const Observer& observer, const Ledger& ledger,
               const Clients& clients);

}  // namespace palyra::sim
