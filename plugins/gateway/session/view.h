// How a session's turns are shown to models: what is pinned, what stands for older turns. Pure
// apart from the two functions that read.
#pragma once

#include "palyra/store/v1/session_view.pb.h"
#include "plugins/gateway/session/documents.h"

#include <string>
#include <vector>

namespace palyra::gateway {

namespace store = palyra::store::v1;

constexpr int kMostPins = 64;
constexpr size_t kPinBytes = 4'096;
constexpr size_t kPinsBytes = 16 * 1024;
// Beyond that the older half is thinned out.
constexpr int kMostCompactions = 64;

// What a record of the session's stream makes of the view; false if it changes nothing.
bool fold_view(store::SessionView& view, const tape::SessionEvent& event);

// The newest compaction in force that covers the turns up to this one; null if there is none.
const tape::Compacted* compaction_up_to(const store::SessionView& view, const std::string& turn_id);

std::vector<std::string> pinned_facts(const store::SessionView& view);
// For people: "summary 3f2a...".
std::string summary_source(const std::string& artifact_digest);

// Puts the document, or takes it away if it says nothing.
void put_view(service::CommitRequest& commit, const std::string& session_id,
              const store::SessionView& view);
// An empty view if there is no document.
Task<Result<store::SessionView>> load_view(Journal& journal, std::string session_id);
// The blob of the pinned facts, named in the view; durable before the commit that names it.
Task<Status> store_pins(Journal& journal, store::SessionView* view);

}  // namespace palyra::gateway
