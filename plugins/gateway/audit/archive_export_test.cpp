// Exports of a store whose oldest records are in files, some of them gone, and the real verifier.
#include "palyra/gateway/v1/gateway.pb.h"
#include "plugins/gateway/audit/testing.h"
#include "plugins/gateway/audit/verify_program.h"
#include "plugins/journal/segment_files.h"

#include <gmock/gmock.h>

namespace palyra::gateway::audit::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kBeginMs = 1'767'225'600'000;

// run/1 has ten records, of which the first three and the next four are in two files; then the
// records that closed these. run/2 was never archived.
class ArchivedExport : public ::testing::Test {
 protected:
  ArchivedExport() {
    desk_.append("run/1", 10);
    desk_.append("run/2", 2);
    desk_.cover();
    archive("run/1", 3);
    desk_.advance_s(3600);
    archive("run/1", 7);
  }
  void archive(const std::string& stream, uint64_t up_to) {
    pb::ArchiveRequest request;
    request.set_stream(stream);
    request.set_up_to_seq(up_to);
    Status archived(Code::kInternal, "not done");
    desk_.store.archive(request, [&](auto result) { archived = result.status(); });
    desk_.executor.run_until_idle();
    ASSERT_TRUE(archived.ok()) << archived.to_string();
  }
  // Its files, the oldest first, by the records that closed them.
  std::vector<std::string> files(const std::string& stream) {
    std::vector<std::string> names;
    pb::ReadRequest read;
    read.set_stream(stream);
    read.set_descending(true);
    read.set_limit(2);
    const auto page = desk_.run(desk_.journal.read(std::move(read)));
    for (const pb::Record& record : page->records()) {
      pb::SegmentClosed closed;
      closed.ParseFromString(record.payload());
      names.insert(names.begin(), digest::to_hex(closed.archive_digest()) + ".ndjson.gz");
    }
    return names;
  }
  // Moves a file out of the store's reach; its bytes.
  std::string take(const std::string& name) {
    auto& all = desk_.store.files().files;
    std::string bytes = all.at(name);
    all.erase(name);
    return bytes;
  }
  // With what the chunks said beside.
  std::string exported(api::ExportAuditRequest request = {}) {
    Collect<api::ExportAuditChunk> sink;
    const Status status =
        desk_.run(desk_.audit->export_audit(Desk::admin(), std::move(request), sink.send()));
    EXPECT_TRUE(status.ok()) << status.to_string();
    std::string out;
    told_.clear();
    for (const auto& chunk : sink.messages) {
      out += chunk.data();
      for (const auto& range : chunk.missing()) {
        told_ += range.stream() + " " + std::to_string(range.first_seq()) + "-" +
                 std::to_string(range.last_seq()) + " " + range.file() + "\n";
      }
      missing_ = chunk.missing_records();
    }
    return out;
  }

  Desk desk_;
  Program program_;
  std::string told_;
  uint64_t missing_ = 0;
};

TEST_F(ArchivedExport, HasArchivedRecordsAsIfTheyWereInTheStore) {
  const Said said = program_.verify(exported());
  EXPECT_EQ(said.exit_code, 0) << said.out;
  EXPECT_THAT(said.out, HasSubstr("run/1: records 1 to 12, checkpoint"));
  EXPECT_EQ(missing_, 0u);
  EXPECT_EQ(told_, "");
}

TEST_F(ArchivedExport, NamesWhatIsMissingAndTheRestVerifies) {
  const std::string gone = files("run/1")[1];
  take(gone);
  const std::string content = exported();
  EXPECT_EQ(missing_, 4u);
  EXPECT_EQ(told_, "run/1 4-7 " + gone + "\n");
  const Said said = program_.verify(content);
  EXPECT_EQ(said.exit_code, 2) << said.out;
  EXPECT_THAT(said.out, HasSubstr("PARTIAL  run/1: records 1 to 12, 4 MISSING"));
  EXPECT_THAT(said.out, HasSubstr("lacks the archived file " + gone));
  EXPECT_THAT(said.out, HasSubstr("INCOMPLETE: 4 archived records are missing"));
  EXPECT_THAT(said.out, HasSubstr("ok      run/2: records 1 to 2"));
  EXPECT_THAT(said.out, HasSubstr("VERIFIED IN PART: "));
  EXPECT_THAT(program_.verify(content, "--quiet").out, HasSubstr("PARTIAL"));
}

TEST_F(ArchivedExport, BeginsBehindARemovedSegment) {
  const auto names = files("run/1");
  take(names[0]);
  take(names[1]);
  const Said said = program_.verify(exported());
  EXPECT_EQ(missing_, 7u);
  EXPECT_EQ(said.exit_code, 2) << said.out;
  EXPECT_THAT(said.out, HasSubstr("PARTIAL  run/1: records 1 to 12, 7 MISSING"));
}

TEST_F(ArchivedExport, IsWholeAgainWithTheFilesThatTurnUp) {
  const auto names = files("run/1");
  const std::string first = take(names[0]);
  const std::string second = take(names[1]);
  const std::string content = exported();
  const std::string directory = program_.make_directory("segments");
  program_.write("segments/" + names[0], first);
  const Said half = program_.verify(content, "--segments " + directory);
  EXPECT_EQ(half.exit_code, 2) << half.out;
  EXPECT_THAT(half.out, HasSubstr("4 MISSING"));
  program_.write("segments/" + names[1], second);
  const Said said = program_.verify(content, "--segments " + directory);
  EXPECT_EQ(said.exit_code, 0) << said.out;
  EXPECT_THAT(said.out, HasSubstr("run/1: records 1 to 12, 7 archived"));
  EXPECT_THAT(said.out, HasSubstr("7 from archived files"));

  program_.write("segments/" + names[1], second.substr(0, second.size() - 1));
  EXPECT_EQ(program_.verify(content, "--segments " + directory).exit_code, 2)
      << "another file under that name is none";
  program_.write("segments/" + names[1], std::string(1 << 20, 'x'));
  EXPECT_EQ(program_.verify(content, "--segments " + directory).exit_code, 2);
  EXPECT_EQ(program_.verify(content, "--segments /nowhere").exit_code, 66);
  EXPECT_EQ(program_.run("e --segments").exit_code, 64);
}

TEST_F(ArchivedExport, ErasedRecordsInAFileAreErasedAndNotBroken) {
  Status erased(Code::kInternal, "");
  desk_.store.erase({"run/1", 2, 5, "asked to", "user:ann"},
                    [&](auto result) { erased = result.status(); });
  desk_.executor.run_until_idle();
  ASSERT_TRUE(erased.ok());
  const std::string directory = program_.make_directory("segments");
  auto& all = desk_.store.files().files;
  for (const auto& [name, bytes] : all) program_.write("segments/" + name, bytes);
  all.clear();
  const std::string content = exported();
  EXPECT_EQ(program_.verify(content).exit_code, 2);
  const Said said = program_.verify(content, "--segments " + directory);
  EXPECT_EQ(said.exit_code, 0) << said.out;
  EXPECT_THAT(said.out, HasSubstr("4 erased, 7 archived"));
}

TEST_F(ArchivedExport, CannotPassOffADeletionAsAMissingFile) {
  take(files("run/1")[0]);
  const Lines honest = split(exported());
  const auto verdict = [&](const std::function<void(Lines&)>& change) {
    Lines lines = honest;
    change(lines);
    const Said said = program_.verify(lines);
    EXPECT_EQ(said.exit_code, 1) << said.out;
    return said.out;
  };
  const size_t missing = at_key(honest, "missing");
  EXPECT_THAT(verdict([&](Lines& l) { l.erase(l.begin() + static_cast<long>(missing)); }),
              HasSubstr("the contents are not those that were sealed"));
  EXPECT_THAT(verdict([&](Lines& l) {
                edit(l[missing], [](json& j) { j["missing"][0]["lastSeq"] = "4"; });
              }),
              HasSubstr("the contents are not those that were sealed"));
  EXPECT_THAT(
      verdict([&](Lines& l) { l.insert(l.begin() + static_cast<long>(missing), l[missing]); }),
      HasSubstr("out of order"));
  EXPECT_THAT(verdict([&](Lines& l) { l.push_back(l[missing]); }), HasSubstr("out of their place"));
  // Archived, in the export, and cut out of it afterwards: its segment_closed does not excuse that.
  EXPECT_THAT(verdict([](Lines& l) {
                for (int seq = 4; seq <= 7; ++seq) {
                  l.erase(l.begin() + static_cast<long>(at(l, "run/1", seq)));
                }
              }),
              HasSubstr("run/1: record 4 is missing; the next one is 8"));
  for (const char* field :
       {"stream", "firstSeq", "lastSeq", "prevHash", "lastHash", "archiveDigest"}) {
    for (const json& other : {json(nullptr), json(7), json("x"), json::array({1})}) {
      verdict(
          [&](Lines& l) { edit(l[missing], [&](json& j) { j["missing"][0][field] = other; }); });
    }
  }
}

TEST_F(ArchivedExport, ARangeOfTimeMayBeginOrEndInAMissingFile) {
  // Archived later than the range ends.
  api::ExportAuditRequest request;
  request.set_until_ms(kBeginMs);
  const Said whole = program_.verify(exported(request));
  EXPECT_EQ(whole.exit_code, 0) << whole.out;
  EXPECT_THAT(whole.out, HasSubstr("run/1: records 1 to 10, checkpoint 1"));

  const std::string directory = program_.make_directory("segments");
  desk_.append("run/3", 3);
  desk_.advance_s(1);
  desk_.cover();
  desk_.advance_s(3600);
  archive("run/3", 3);
  for (const auto& [name, bytes] : desk_.store.files().files) {
    program_.write("segments/" + name, bytes);
  }
  desk_.store.files().files.clear();
  request.set_until_ms(kBeginMs + 3'601'000);
  std::string content = exported(request);
  Said said = program_.verify(content);
  EXPECT_EQ(said.exit_code, 2) << said.out;
  EXPECT_THAT(said.out, HasSubstr("run/3: records 1 to 4, 3 MISSING"))
      << "the record that closed the segment is behind the range, and belongs to it";
  said = program_.verify(content, "--segments " + directory);
  EXPECT_EQ(said.exit_code, 0) << said.out;

  request.set_until_ms(0);
  request.set_since_ms(kBeginMs + 1'000);
  content = exported(request);
  said = program_.verify(content);
  EXPECT_EQ(said.exit_code, 2) << said.out;
  EXPECT_THAT(said.out, HasSubstr("run/1: records 11 to 12, checkpoint"))
      << "what is missing is older, as the records behind it show";
  EXPECT_THAT(said.out, HasSubstr("run/3: records 1 to 4, 3 MISSING"));
  EXPECT_EQ(program_.verify(content, "--segments " + directory).exit_code, 0);
}

TEST_F(ArchivedExport, ASessionWhoseTapeIsMissingIsStillFoundWithItsRuns) {
  pb::DeclareRequest declare;
  declare.set_collection("runs");
  pb::IndexDeclaration& by_session = *declare.add_indexes();
  by_session.set_name("session");
  by_session.set_kind(pb::INDEX_KIND_ORDERED);
  ASSERT_TRUE(desk_.run(desk_.journal.declare(declare)).ok());
  pb::CommitRequest commit;
  const auto put = [&](const std::string& where, const std::string& key, const std::string& value) {
    pb::PutDocument& document = *commit.add_puts();
    document.set_collection(where);
    document.set_key(key);
    document.set_value(value);
    return &document;
  };
  auto& index = *put("runs", "1", "")->add_index_values();
  index.set_index("session");
  index.set_value("S1");
  api::Session session;
  session.set_principal("user:ann");
  put("sessions", "S1", session.SerializeAsString());
  ASSERT_TRUE(desk_.run(desk_.journal.commit(commit)).ok());
  desk_.append("session/S1", 4);
  archive("session/S1", 3);
  desk_.store.files().files.clear();
  for (const bool by_principal : {false, true}) {
    api::ExportAuditRequest request;
    if (by_principal) {
      request.set_principal("user:ann");
    } else {
      request.set_session_id("S1");
    }
    const Said said = program_.verify(exported(request));
    EXPECT_EQ(said.exit_code, 2) << said.out;
    EXPECT_THAT(said.out, HasSubstr("session/S1: records 1 to 5, 3 MISSING"));
    EXPECT_THAT(said.out, HasSubstr("run/1: records 1 to 12, 7 MISSING"));
    EXPECT_THAT(said.out, Not(HasSubstr("run/2")));
  }
}

// The records of the oldest file of run/1 become others, with right hashes and a right file.
class ForgedArchive : public ArchivedExport {
 protected:
  void forge_first_segment() {
    std::vector<journal::SegmentRow>& rows = desk_.store.archived("run/1");
    auto& all = desk_.store.files().files;
    const std::string name = digest::to_hex(rows[0].digest) + ".ndjson.gz";
    journal::Segment records = *journal::decode_segment("run/1", rows[0], all.at(name));
    records[0].set_payload("forged");
    chain("run/1", records[0].prev_hash(), records);
    const std::string file = *journal::encode_segment(records);
    all.erase(name);
    rows[0] = journal::describe_segment(records, file);
    all[digest::to_hex(rows[0].digest) + ".ndjson.gz"] = file;
    rows[1].prev_hash = rows[0].last_hash;
  }
};

TEST_F(ForgedArchive, IsNotHiddenBehindAMissingFileThatTheStreamClosedOtherwise) {
  take(files("run/1")[1]);
  forge_first_segment();
  const Said said = program_.verify(exported());
  EXPECT_EQ(said.exit_code, 1) << said.out;
  EXPECT_THAT(said.out,
              HasSubstr("run/1: record 4 and its archive are not what the stream closed"));
}

TEST_F(ForgedArchive, IsNotHiddenBehindAFileThatNeverWas) {
  desk_.append("run/4", 7);
  archive("run/4", 3);
  std::vector<journal::SegmentRow>& rows = desk_.store.archived("run/4");
  journal::SegmentRow invented = rows[0];
  invented.first_seq = 4;
  invented.last_seq = 5;
  invented.prev_hash = rows[0].last_hash;
  invented.last_hash = desk_.store.stored("run/4", 5)->hash();
  invented.digest = std::string(32, 'd');
  rows.push_back(invented);
  const Said said = program_.verify(exported());
  EXPECT_EQ(said.exit_code, 1) << said.out;
  EXPECT_THAT(said.out, HasSubstr("run/4: record 4 is said to be archived, and no segment_closed"));
}

TEST_F(ForgedArchive, IsUnprovenIfAlsoTheRecordsThatWouldShowItAreMissing) {
  // Records 11 and 12, which closed the first two segments, are in the third.
  archive("run/1", 12);
  const auto& rows = desk_.store.archived("run/1");
  take(digest::to_hex(rows[1].digest) + ".ndjson.gz");
  take(digest::to_hex(rows[2].digest) + ".ndjson.gz");
  forge_first_segment();
  const Said said = program_.verify(exported());
  EXPECT_EQ(said.exit_code, 2) << said.out;
  EXPECT_THAT(said.out, HasSubstr("run/1: records 1 to 13, 9 MISSING, 3 UNPROVEN"));
  EXPECT_THAT(said.out, HasSubstr("Of 3 records in front of them nothing is proven either"));
}

// run/5 as the others, but a checkpoint names its record 3.
class NamedArchive : public ForgedArchive {
 protected:
  NamedArchive() {
    desk_.append("run/5", 3);
    desk_.cover();
    desk_.append("run/5", 2);
    archive("run/5", 3);
    archive("run/5", 5);
    archive("run/5", 7);
  }
  void take_segments(size_t from) {
    const auto& rows = desk_.store.archived("run/5");
    for (size_t i = from; i < rows.size(); ++i) {
      take(digest::to_hex(rows[i].digest) + ".ndjson.gz");
    }
  }
};

TEST_F(NamedArchive, ProvesWhatIsInFrontOfTheNamedRecord) {
  take_segments(1);
  const Said said = program_.verify(exported());
  EXPECT_EQ(said.exit_code, 2) << said.out;
  EXPECT_THAT(said.out, HasSubstr("run/5: records 1 to 8, 4 MISSING, checkpoint"));
}

TEST_F(NamedArchive, AMissingSegmentMustEndAsTheCheckpointNamesIt) {
  take_segments(0);
  auto& rows = desk_.store.archived("run/5");
  rows[0].last_hash = std::string(32, 'x');
  rows[1].prev_hash = rows[0].last_hash;
  const Said said = program_.verify(exported());
  EXPECT_EQ(said.exit_code, 1) << said.out;
  EXPECT_THAT(said.out, HasSubstr("run/5: record 3 is not the record that checkpoint 2 names"));
}

}  // namespace
}  // namespace palyra::gateway::audit::testing
