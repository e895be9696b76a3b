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
// A live lease is not taken from its holder.
constexpr char kLease[] = "lease";
// A run is taken up again only when who drove it is gone.
constexpr char kResumeOnce[] = "resume-once";
// What a watcher is shown with a sequence number is durable.
constexpr char kDurableShown[] = "durable-before-shown";
// A watcher puts the answer together byte by byte, without gap or duplicate.
constexpr char kStreamExact[] = "stream-exact";
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
