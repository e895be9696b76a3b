// The promises, by name: what --expect and the mutants say.
#pragma once

namespace palyra::sim {

// What a client was told is there, now and at the end; the same key is answered with the same run.
constexpr char kAcknowledged[] = "acknowledged-not-lost";
// No key is accepted twice.
constexpr char kAcceptedOnce[] = "accepted-once";
// A session has at most one run that has started and not ended.
constexpr char kOneActiveRun[] = "one-active-run";
// Sequence numbers have no gap, hash chains verify, and every tape folds.
constexpr char kGapless[] = "gapless";
// Nothing happens outside before the record that says so is durable.
constexpr char kIntent[] = "intent-before-effect";
// The sentences of docs/effects.md, by effect class.
constexpr char kPromiseNone[] = "effect-promise/none";
constexpr char kPromiseIdempotent[] = "effect-promise/idempotent";
constexpr char kPromiseKeyed[] = "effect-promise/keyed";
constexpr char kPromiseVerifiable[] = "effect-promise/verifiable";
constexpr char kPromiseOpaque[] = "effect-promise/opaque";
constexpr char kReported[] = "outcome-reported";
// A cancel that was acknowledged is durable; nothing is begun after it; the run ends cancelled.
constexpr char kCancelHolds[] = "cancel-holds";
// A run does not complete before the model has seen every message that joined it.
constexpr char kSteerSeen[] = "steer-seen";
// An approval lets through what it was given for, once.
constexpr char kApprovalOnce[] = "approval-once";
// Who lost a session writes nothing more of it.
constexpr char kFence[] = "fence";
// Who takes a session over has read all that was written in it.
constexpr char kTakeover[] = "takeover-current";
// A live lease is not taken from its holder.
constexpr char kLease[] = "lease";
// A run is taken up again only when who drove it is gone.
constexpr char kResumeOnce[] = "resume-once";
// What a watcher is shown with a sequence number is durable.
constexpr char kDurableShown[] = "durable-before-shown";
// A watcher puts the answer together byte by byte, without gap or duplicate.
constexpr char kStreamExact[] = "stream-exact";
// A turn follows the head; a head moves between runs only, to a turn of its history.
constexpr char kTree[] = "tree";
// A model is shown the turns that the head leads to, as they are or in a summary: each once, in
// order, no others, and none is missing unless the context says that it was cut.
constexpr char kPromptPath[] = "prompt-path";
// What is pinned is in every prompt, word for word and once.
constexpr char kPinned[] = "pinned";
// A compaction covers all turns up to one, but not the newest; it is on both tapes or on none; the
// view that is stored is what the tape says.
constexpr char kView[] = "view";
// A run compacts at most once for each reason, in steps that follow each other, and is not refused
// twice for the same prompt.
constexpr char kOverflowOnce[] = "overflow-once";
// Settled plus reserved tokens never exceed the limit.
constexpr char kBudget[] = "budget";
// Every run reaches a terminal state; every message is answered.
constexpr char kEnds[] = "ends";
// A request that is right is not refused for a reason that does not hold.
constexpr char kAnswers[] = "answers";
// The history has what every history must have: sessions, runs, calls, a fault.
constexpr char kEnough[] = "enough";
// Every tape is what decide and evolve make of it.
constexpr char kReplay[] = "replay";
// The same seed gives the same history.
constexpr char kSameSeed[] = "same-seed";

}  // namespace palyra::sim
