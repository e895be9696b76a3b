// Exports of a store that was changed by hand, and those of the older version.
#include "plugins/common/digest/digest.h"
#include "plugins/gateway/audit/testing.h"
#include "plugins/gateway/audit/verify_program.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace palyra::gateway::audit::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// The store was changed by hand before it was exported, and went on since.
class ForgedStore : public ::testing::Test {
 protected:
  ForgedStore() {
    desk_.append("run/1", 3);
    desk_.append("run/2", 2);
    desk_.cover();
    desk_.append("run/1", 2);
  }
  void rewrite(const std::string& stream, uint64_t first, uint64_t last) {
    std::vector<pb::Record*> records;
    for (uint64_t seq = first; seq <= last; ++seq) {
      records.push_back(desk_.store.stored(stream, seq));
    }
    records[0]->set_payload("forged");
    chain(stream, records[0]->prev_hash(), records);
  }
  // Behind every position that there is: nobody sees it.
  void remove(const std::string& stream, uint64_t first, uint64_t last) {
    for (uint64_t seq = first; seq <= last; ++seq) {
      desk_.store.stored(stream, seq)->set_position(1'000'000);
    }
  }
  std::string verdict(api::ExportAuditRequest request = {}) {
    const Said said = Program().verify(*desk_.exported(std::move(request)));
    EXPECT_EQ(said.exit_code, 1) << said.out;
    return said.out;
  }
  Desk desk_;
};

TEST_F(ForgedStore, ARecordIsCheckedAgainstTheCheckpointThatNamedItThen) {
  rewrite("run/1", 2, 5);
  desk_.append("run/1");
  EXPECT_THAT(verdict(), HasSubstr("run/1: record 3 is not the record that checkpoint 1 names"));
  api::ExportAuditRequest request;
  request.set_run_id("1");
  EXPECT_THAT(verdict(request), HasSubstr("record 3 is not the record that checkpoint 1 names"));
}

TEST_F(ForgedStore, AStreamThatWasCutOffIsFound) {
  desk_.cover();
  remove("run/1", 4, 5);
  EXPECT_THAT(verdict(),
              HasSubstr("run/1: record 4 and all behind it are missing: the stream ends at 3, and "
                        "checkpoint 2 names record 5"));
  api::ExportAuditRequest request;
  request.set_run_id("1");
  EXPECT_THAT(verdict(request), HasSubstr("the stream ends at 3"));
}

TEST_F(ForgedStore, AStreamThatWasDeletedIsFound) {
  remove("run/2", 1, 2);
  EXPECT_THAT(
      verdict(),
      HasSubstr("run/2: record 2 and the whole stream are missing, though checkpoint 1 names it"));
  api::ExportAuditRequest request;
  request.set_since_ms(1);
  EXPECT_THAT(verdict(request), HasSubstr("run/2: record 2 and the whole stream are missing"));
}

TEST_F(ForgedStore, ARunThatASessionNamesAndThatIsGoneEndsTheExport) {
  pb::CommitRequest commit;
  pb::Append& append = *commit.add_appends();
  append.set_stream("session/S1");
  tape::SessionEvent input;
  input.mutable_input_accepted()->set_run_id("2");
  append.add_records()->set_type("input_accepted");
  append.mutable_records(0)->set_payload(input.SerializeAsString());
  ASSERT_TRUE(desk_.run(desk_.journal.commit(std::move(commit))).ok());
  remove("run/2", 1, 2);
  api::ExportAuditRequest request;
  request.set_session_id("S1");
  const Status status = desk_.exported(request).status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("the stream run/2 belongs to the export and is gone"));
}

// An export as daemons made it before: the seal in front of the checkpoints, and not of them.
Lines as_version_1(const Lines& lines) {
  Lines out;
  digest::Sha256 contents;
  std::string statement;
  put_field(statement, "palyra.export.1");
  std::vector<std::string> checkpoints;
  for (const std::string& text : lines) {
    json line = json::parse(text);
    if (line.contains("palyraExport")) {
      line = {{"palyraExport", 1},
              {"createdMs", line["createdMs"]},
              {"publicKey", line["publicKey"]},
              {"selection", line["selection"]}};
      put_field(statement, std::stoull(line["createdMs"].get<std::string>()));
      put_field(statement, line["selection"].get<std::string>());
    } else if (line.contains("contents")) {
      for (const json& entry : line["contents"]) {
        std::string fields;
        put_field(fields, entry["stream"].get<std::string>());
        put_field(fields, std::stoull(entry["firstSeq"].get<std::string>()));
        put_field(fields, *digest::from_hex(entry["prevHash"].get<std::string>()));
        put_field(fields, std::stoull(entry["lastSeq"].get<std::string>()));
        put_field(fields, *digest::from_hex(entry["lastHash"].get<std::string>()));
        contents.update(fields);
      }
    } else if (line.contains("checkpoint")) {
      checkpoints.push_back(text);
      continue;
    } else if (line.contains("seal")) {
      const std::string sum = contents.finish();
      put_field(statement, std::stoull(line["seal"]["streams"].get<std::string>()));
      put_field(statement, sum);
      put_field(statement, test_key().public_key());
      line["seal"]["contentsDigest"] = digest::to_hex(sum);
      line["seal"]["signature"] = digest::to_hex(test_key().sign(statement));
    }
    out.push_back(line.dump());
    if (line.contains("seal")) out.insert(out.end(), checkpoints.begin(), checkpoints.end());
  }
  return out;
}

TEST(ExportTest, AnExportOfVersionOneIsStillReadAndSaysWhatItDoesNotProve) {
  const Lines old = as_version_1(split(story_export()));
  Said said = Program().verify(old);
  EXPECT_EQ(said.exit_code, 0) << said.out;
  EXPECT_THAT(said.out, HasSubstr("Note: this export is of version 1"));
  EXPECT_THAT(said.out, HasSubstr("VERIFIED: 11 records of 4 streams, 2 erased"));
  Lines altered = old;
  edit(altered[at(altered, "run/2", 3)], [](json& j) { j["timeNs"] = "1"; });
  EXPECT_EQ(Program().verify(altered).exit_code, 1);
}

TEST_F(ForgedStore, IsFoundInAnExportOfVersionOneToo) {
  rewrite("run/1", 2, 5);
  desk_.append("run/1");
  const Said said = Program().verify(as_version_1(split(*desk_.exported())));
  EXPECT_EQ(said.exit_code, 1) << said.out;
  EXPECT_THAT(said.out, HasSubstr("run/1: record 3 is not the record that checkpoint 1 names"));
}

}  // namespace
}  // namespace palyra::gateway::audit::testing
