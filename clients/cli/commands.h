// What the commands do, apart from how they are spelled (main.cpp). Each returns an exit code.
#pragma once

#include "clients/cli/settings.h"

#include <optional>
#include <string>
#include <vector>

namespace palyra::cli {

// ---- run.cpp
struct RunOptions {
  std::string text;  // "-" = standard input
  std::string session;
  std::string agent;
  std::string model;
  std::string approve = "ask";  // ask, deny, all
  std::string idempotency_key;
  std::string queue;  // follow-up, collect, steer, interrupt; empty = the session's
  bool detach = false;
};
int run(const GlobalOptions& global, const RunOptions& options);
int chat(const GlobalOptions& global, const RunOptions& options);

// ---- runs.cpp
int list_runs(const GlobalOptions& global, const std::string& session, bool active, int limit);
int show_run(const GlobalOptions& global, const std::string& run_id);
int cancel_run(const GlobalOptions& global, const std::string& run_id, const std::string& reason);
int attach_run(const GlobalOptions& global, const std::string& run_id, const std::string& approve);
// explain.cpp; turn 0 = all
int explain_run(const GlobalOptions& global, const std::string& run_id, int turn, bool full);
// `seconds` 0 = without an end.
int wait_run(const GlobalOptions& global, const std::string& run_id, int seconds);

// ---- replay.cpp
struct ReplayOptions {
  std::string what;  // a run's id, or an exported run
  bool all = false;
  std::string since;  // as moment_ms() reads it
  std::string session;
  int limit = 0;  // 0 = all
  // What is changed; nothing set = only check.
  std::string model;
  std::string provider;
  std::optional<std::string> prompt;  // a file, or the text
  std::string tools;                  // recorded, live
};
int replay(const GlobalOptions& global, const ReplayOptions& options);
// `other` empty = the run that this one repeats.
int compare_runs(const GlobalOptions& global, const std::string& run_id, const std::string& other);
int export_run(const GlobalOptions& global, const std::string& run_id, const std::string& file);

// ---- sessions.cpp
int list_sessions(const GlobalOptions& global, const std::string& search, bool archived,
                  bool replays, int limit);
int show_session(const GlobalOptions& global, const std::string& session_id);
int new_session(const GlobalOptions& global, const std::string& title, const std::string& agent);
int rename_session(const GlobalOptions& global, const std::string& session_id,
                   const std::string& title);
int reset_session(const GlobalOptions& global, const std::string& session_id);
int archive_session(const GlobalOptions& global, const std::string& session_id, bool archived);
// `mode`: follow-up, collect, steer or interrupt.
int set_queue_mode(const GlobalOptions& global, const std::string& session_id,
                   const std::string& mode);

// ---- turns.cpp
int branch_session(const GlobalOptions& global, const std::string& session_id,
                   const std::string& turn, const std::string& title);
int rewind_session(const GlobalOptions& global, const std::string& session_id,
                   const std::string& turn, int back);
int undo_session(const GlobalOptions& global, const std::string& session_id, bool redo);
int list_turns(const GlobalOptions& global, const std::string& session_id, bool all, int limit);
int diff_sessions(const GlobalOptions& global, const std::string& session_id,
                  const std::string& other, int limit);
int search_sessions(const GlobalOptions& global, const std::string& text, bool replays, int limit);
int pin_fact(const GlobalOptions& global, const std::string& session_id, const std::string& text);
int unpin_fact(const GlobalOptions& global, const std::string& session_id,
               const std::string& pin_id);
int list_pins(const GlobalOptions& global, const std::string& session_id);
int compact_session(const GlobalOptions& global, const std::string& session_id,
                    const std::string& model);
int expand_session(const GlobalOptions& global, const std::string& session_id);
// A line of a chat that is /undo, /redo, /rewind N, /branch TITLE, /compact MODEL or /pin TEXT,
// done, or refused with a sentence; nothing if it is another. A branch changes the session.
// `during_run`: a run is shown, so only /pin and /branch are done. Any thread.
class Connection;
std::optional<int> chat_command(Connection& connection, const std::string& line,
                                std::string* session, bool during_run);

// ---- tape.cpp; an id is a run's, or a session's with `session`
int show_tape(const GlobalOptions& global, const std::string& id, bool session, bool payloads);
int export_tape(const GlobalOptions& global, const std::string& id, bool session,
                const std::string& file);
int verify_tape(const GlobalOptions& global, const std::string& id, bool session);

// ---- approvals.cpp
int list_approvals(const GlobalOptions& global, bool all, int limit);
int allow_approval(const GlobalOptions& global, const std::string& approval_id,
                   const std::string& scope, int seconds);
int deny_approval(const GlobalOptions& global, const std::string& approval_id,
                  const std::string& reason);

// ---- admin.cpp
int list_agents(const GlobalOptions& global);
int list_models(const GlobalOptions& global, bool probe);
int list_plugins(const GlobalOptions& global);
int show_plugin(const GlobalOptions& global, const std::string& instance);
int show_config(const GlobalOptions& global);
int check_config(const GlobalOptions& global);
int doctor(const GlobalOptions& global);
int status(const GlobalOptions& global);
int daemon_status(const GlobalOptions& global);

// ---- audit.cpp
struct AuditOptions {
  std::string resume;
  std::string witness;  // a file
  std::vector<std::string> keys;
  std::string since;
  std::string until;
  std::string session;
  std::string principal;
  std::string run;
  std::string file;  // empty = standard output
};
int audit_verify(const GlobalOptions& global, const AuditOptions& options);
int audit_export(const GlobalOptions& global, const AuditOptions& options);
int audit_witness(const GlobalOptions& global);
int audit_key(const GlobalOptions& global);

// ---- backup.cpp; all but create work without a daemon
struct RestoreOptions {
  std::string name;  // in the directory of backups, or a file; empty = the newest that fits
  std::string to_time;
  std::string to_position;
  bool to_latest = false;
  bool force = false;
};
// `file`: fetched to there as well, a tar archive; empty = not.
int create_backup(const GlobalOptions& global, const std::string& name, const std::string& file);
int list_backups(const GlobalOptions& global);
int verify_backup(const GlobalOptions& global, const std::string& name);
int restore_backup(const GlobalOptions& global, const RestoreOptions& options);
int prune_backups(const GlobalOptions& global, int keep);

// ---- storage.cpp; `yes` = do not ask
int erase_session(const GlobalOptions& global, const std::string& session_id,
                  const std::string& reason, bool yes);
int erase_run(const GlobalOptions& global, const std::string& run_id, const std::string& reason,
              bool yes);
int storage_status(const GlobalOptions& global);
int storage_archive(const GlobalOptions& global, int older_than_days, bool dry_run);
int storage_vacuum(const GlobalOptions& global);

// ---- setup.cpp
struct SetupOptions {
  std::string provider;  // "openai", "embedded"; empty = ask
  std::string base_url;
  std::string api_key;  // a reference
  std::string model;
  std::string listen;    // host:port; empty = the default
  bool force = false;    // overwrite an existing file
  bool offline = false;  // no test call
};
int setup(const GlobalOptions& global, const SetupOptions& options);

}  // namespace palyra::cli
