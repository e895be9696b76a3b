// The proof end to end: real daemon, real `palyra`, real `palyra-audit-verify`, a file changed by
// hand.
#include "tests/e2e/daemon.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/stat.h>

namespace palyra::e2e {
namespace {

namespace fs = std::filesystem;

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class AuditTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(daemon_.start()) << daemon_.log();
    ASSERT_EQ(daemon_.cli({"run", "/echo one"}).exit_code, 0);
    const Finished key = daemon_.cli({"audit", "key"});
    ASSERT_EQ(key.exit_code, 0) << key.err;
    key_file_ = files_.write("audit.pub", key.out);
  }
  std::string file(const std::string& name) const { return files_.path() + "/" + name; }
  std::string witness(const std::string& name) const {
    const Finished line = daemon_.cli({"audit", "witness"});
    EXPECT_EQ(line.exit_code, 0) << line.err;
    return files_.write(name, line.out);
  }
  Finished verifier(const std::vector<std::string>& words) const {
    std::vector<std::string> all = {build_dir() + "/bin/palyra-audit-verify"};
    all.insert(all.end(), words.begin(), words.end());
    return run_program(all);
  }
  // Changes the journal behind the daemon's back.
  void tamper(const std::string& sql) const {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(journal().c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  std::string journal() const { return daemon_.state_dir() + "/journal/journal.sqlite"; }

  TempDir files_;
  Daemon daemon_;
  std::string key_file_;
};

TEST_F(AuditTest, AnExportIsVerifiedWithThePublicKeyOnly) {
  const std::string kept = witness("witness.json");
  ASSERT_EQ(daemon_.cli({"run", "/echo two"}).exit_code, 0);
  const Finished made = daemon_.cli({"audit", "export", "--file", file("e.ndjson")});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_THAT(made.err, HasSubstr("palyra-audit-verify"));
  EXPECT_FALSE(fs::exists(file("e.ndjson.part")));
  const Finished said = verifier({"--key", key_file_, "--witness", kept, file("e.ndjson")});
  EXPECT_EQ(said.exit_code, 0) << said.out << said.err;
  EXPECT_THAT(said.out, HasSubstr("VERIFIED"));

  // One byte of it is changed.
  std::string content = slurp(file("e.ndjson"));
  const size_t at = content.find("\"payload\":\"") + 12;
  content[at] = content[at] == 'A' ? 'B' : 'A';
  EXPECT_EQ(verifier({"--key", key_file_, files_.write("forged.ndjson", content)}).exit_code, 1);
  // Another daemon's key.
  const Finished wrong = verifier({"--key", std::string(64, '1'), file("e.ndjson")});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.out, HasSubstr("the wrong key"));

  const json runs = json::parse(daemon_.cli({"runs", "-o", "json"}).out);
  const Finished part = daemon_.cli({"audit", "export", "--run", runs[0]["run_id"]});
  ASSERT_EQ(part.exit_code, 0) << part.err;
  EXPECT_EQ(verifier({"--key", key_file_, files_.write("run.ndjson", part.out)}).exit_code, 0);
  EXPECT_EQ(daemon_.cli({"audit", "export", "--run", "01J9ZC3V5N8K2M4P6R7S9T0W1X"}).exit_code, 66);
  EXPECT_EQ(daemon_.cli({"audit", "export", "--since", "yesterday"}).exit_code, 64);
  EXPECT_EQ(daemon_.stop(), 0);
}

TEST_F(AuditTest, TheKeyIsForTheDaemonsEyesOnlyAndIsNeverLogged) {
  const std::string path = daemon_.state_dir() + "/gateway/audit.key";
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  std::string secret = slurp(path);
  secret = secret.substr(secret.find('\n') + 1);
  secret = secret.substr(0, secret.find('\n'));
  ASSERT_GT(secret.size(), 40u);
  witness("w");
  EXPECT_THAT(daemon_.cli({"doctor"}).out, HasSubstr("the newest checkpoint is signed with it"));
  ::chmod(path.c_str(), 0644);
  EXPECT_THAT(daemon_.cli({"doctor"}).out, HasSubstr("audit.key can be read by other users"));
  ::chmod(path.c_str(), 0600);
  EXPECT_EQ(daemon_.stop(), 0);
  EXPECT_THAT(daemon_.log(), HasSubstr("keep it elsewhere as a witness"));
  EXPECT_THAT(daemon_.log(), Not(HasSubstr(secret)));
  // The same key at the next start; refused if others can read it.
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  EXPECT_EQ(daemon_.cli({"audit", "key"}).out, slurp(key_file_));
  EXPECT_EQ(daemon_.stop(), 0);
  ::chmod(path.c_str(), 0644);
  EXPECT_FALSE(daemon_.start());
  EXPECT_THAT(daemon_.log(), HasSubstr("chmod 600"));
}

TEST_F(AuditTest, AStoreThatWasChangedByHandIsFoundAndLocated) {
  Finished said = daemon_.cli({"audit", "verify"});
  EXPECT_EQ(said.exit_code, 0) << said.out << said.err;
  EXPECT_THAT(said.out, HasSubstr("verified"));
  said = daemon_.cli({"audit", "verify", "-o", "json"});
  EXPECT_TRUE(json::parse(said.out, nullptr, false).value("ok", false)) << said.out;
  const std::string kept = witness("witness.json");
  said = daemon_.cli({"audit", "verify", "--witness", kept, "--resume", "99999999.1.0.0.0.0"});
  EXPECT_EQ(said.exit_code, 65) << "nothing was looked at: " << said.out;
  EXPECT_THAT(said.err, Not(HasSubstr("Go on with")));

  tamper(
      "UPDATE payload SET data=CAST('x' AS BLOB) WHERE position=(SELECT r.position FROM record r "
      "JOIN stream s ON s.id=r.stream WHERE s.name LIKE 'run/%' AND r.seq=2)");
  said = daemon_.cli({"audit", "verify"});
  EXPECT_EQ(said.exit_code, 76) << said.out << said.err;
  EXPECT_THAT(said.out, HasSubstr("record 2 payload does not match its digest"));
  said = daemon_.cli({"audit", "verify", "-o", "json"});
  EXPECT_FALSE(json::parse(said.out, nullptr, false).value("ok", true)) << said.out;

  // Among the newest records it is found at the start already, and the journal is not used.
  ASSERT_EQ(daemon_.stop(), 0);
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  EXPECT_THAT(daemon_.log(), HasSubstr("record 2"));
  EXPECT_EQ(daemon_.cli({"audit", "verify"}).exit_code, 69);
  daemon_.kill_now();
}

TEST_F(AuditTest, AnExportWithoutAnArchivedFileSaysSoAndTheFileMakesItWhole) {
  ASSERT_EQ(daemon_.cli({"storage", "archive", "--older-than", "0"}).exit_code, 0);
  const fs::path segments = daemon_.state_dir() + "/journal/segments";
  ASSERT_FALSE(fs::is_empty(segments));
  const std::string name = fs::directory_iterator(segments)->path().filename();
  fs::create_directory(file("found"));
  fs::rename(segments / name, file("found/" + name));

  const Finished made = daemon_.cli({"audit", "export", "--file", file("e.ndjson")});
  EXPECT_EQ(made.exit_code, 76) << made.err;
  EXPECT_THAT(made.err, HasSubstr("missing: records 1 to"));
  EXPECT_THAT(made.err, HasSubstr(name));
  const Finished piped = daemon_.cli({"audit", "export"});
  EXPECT_EQ(piped.exit_code, 76);
  EXPECT_THAT(piped.out, HasSubstr("{\"missing\":["));

  Finished said = daemon_.cli({"audit", "verify"});
  EXPECT_EQ(said.exit_code, 76) << said.err;
  EXPECT_THAT(said.out, HasSubstr(name));
  said = verifier({"--key", key_file_, file("e.ndjson")});
  EXPECT_EQ(said.exit_code, 2) << said.out;
  EXPECT_THAT(said.out, HasSubstr("lacks the archived file " + name));
  said = verifier({"--key", key_file_, "--segments", file("found"), file("e.ndjson")});
  EXPECT_EQ(said.exit_code, 0) << said.out;
  EXPECT_EQ(daemon_.stop(), 0);
}

TEST_F(AuditTest, AKeyIsHexOrPemAndAWrongOneIsSaid) {
  const std::string pem = file("audit.pem");
  ASSERT_EQ(run_program({"/usr/bin/openssl", "pkey", "-in",
                         daemon_.state_dir() + "/gateway/audit.key", "-pubout", "-out", pem})
                .exit_code,
            0);
  witness("w");
  Finished said = daemon_.cli({"audit", "verify", "--key", pem});
  EXPECT_EQ(said.exit_code, 0) << said.out << said.err;
  EXPECT_THAT(said.out, Not(HasSubstr("no checkpoint of this store is signed")));
  said = daemon_.cli({"audit", "verify", "--key", std::string(64, '1')});
  EXPECT_EQ(said.exit_code, 0) << said.out << said.err;
  EXPECT_THAT(said.out, HasSubstr("no checkpoint of this store is signed with the key 1111"));
  said = daemon_.cli({"audit", "verify", "--key", daemon_.state_dir() + "/gateway/audit.key"});
  EXPECT_EQ(said.exit_code, 64);
  EXPECT_THAT(said.err, HasSubstr("private key"));
  EXPECT_EQ(daemon_.cli({"audit", "verify", "--key", file("none")}).exit_code, 64);
  EXPECT_EQ(verifier({"--key", pem, "--segments", file("none"), "e"}).exit_code, 66);
  EXPECT_EQ(daemon_.stop(), 0);
}

TEST_F(AuditTest, AStreamThatWasTakenOutWholeIsMissed) {
  witness("w");
  // Its trace in the positions goes too.
  tamper("DELETE FROM record WHERE stream IN (SELECT id FROM stream WHERE name LIKE 'run/%')");
  const Finished said = daemon_.cli({"audit", "verify"});
  EXPECT_EQ(said.exit_code, 76);
  EXPECT_THAT(said.out, HasSubstr("the whole stream is gone"));
  daemon_.kill_now();
}

TEST_F(AuditTest, ARollBackIsFoundWithAWitnessAndOnlyThen) {
  const std::string first = slurp(witness("first.json"));
  ASSERT_EQ(daemon_.stop(), 0);
  const std::string older = file("older.sqlite");
  fs::copy_file(journal(), older);
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  ASSERT_EQ(daemon_.cli({"run", "/echo three"}).exit_code, 0);
  // As witnesses are collected: the newest is the last line.
  const std::string kept = files_.write("witness.json", first + slurp(witness("newest.json")));
  EXPECT_EQ(daemon_.cli({"audit", "verify", "--witness", kept}).exit_code, 0);
  ASSERT_EQ(daemon_.stop(), 0);

  fs::remove(journal() + "-wal");
  fs::copy_file(older, journal(), fs::copy_options::overwrite_existing);
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  const Finished blind = daemon_.cli({"audit", "verify"});
  EXPECT_EQ(blind.exit_code, 0) << blind.out;
  EXPECT_THAT(blind.out, HasSubstr("without --witness nobody can tell"));
  const Finished seen = daemon_.cli({"audit", "verify", "--witness", kept});
  EXPECT_EQ(seen.exit_code, 76) << seen.out << seen.err;
  EXPECT_THAT(seen.out, HasSubstr("set back to an older state"));
  EXPECT_EQ(daemon_.stop(), 0);
}

}  // namespace
}  // namespace palyra::e2e
