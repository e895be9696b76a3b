// A real export in the hands of somebody who wants to hide something, and the real verifier.
#include "plugins/common/digest/digest.h"
#include "plugins/gateway/audit/testing.h"
#include "plugins/gateway/audit/verify_program.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace palyra::gateway::audit::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

struct Forgery {
  const char* name;
  void (*change)(Lines& lines);
  // What the verdict must say.
  const char* verdict;
};

const Forgery kForgeries[] = {
    {"AlteredPayload",
     [](Lines& l) { edit(l[at(l, "run/2", 2)], [](json& j) { j["payload"] = "b3RoZXI="; }); },
     "run/2: record 2 its payload was altered"},
    {"AlteredSalt",
     [](Lines& l) {
       edit(l[at(l, "run/2", 2)], [](json& j) { j["salt"] = std::string(32, '0'); });
     },
     "run/2: record 2 its payload was altered"},
    {"AlteredTime",
     [](Lines& l) { edit(l[at(l, "run/2", 2)], [](json& j) { j["timeNs"] = "1"; }); },
     "run/2: record 2 was altered"},
    {"AlteredType",
     [](Lines& l) { edit(l[at(l, "run/2", 2)], [](json& j) { j["type"] = "other"; }); },
     "run/2: record 2 was altered"},
    {"AlteredLastRecordWithARightHash",
     [](Lines& l) {
       edit(l[at(l, "run/2", 3)], [](json& j) {
         j["timeNs"] = "1";
         rehash(j);
       });
     },
     "run/2: record 3 is not the record that checkpoint 2 names"},
    {"AlteredRecordWithARightHash",
     [](Lines& l) {
       edit(l[at(l, "run/2", 1)], [](json& j) {
         j["timeNs"] = "1";
         rehash(j);
       });
     },
     "run/2: record 2 does not follow the record before"},
    {"DeletedRecord", [](Lines& l) { l.erase(l.begin() + static_cast<long>(at(l, "run/2", 2))); },
     "run/2: record 2 is missing; the next one is 3"},
    {"DeletedFirstRecord",
     [](Lines& l) { l.erase(l.begin() + static_cast<long>(at(l, "run/2", 1))); },
     "run/2: record 1 is missing"},
    {"InsertedCopy",
     [](Lines& l) {
       const size_t i = at(l, "run/2", 2);
       l.insert(l.begin() + static_cast<long>(i), l[i]);
     },
     "run/2: record 2 comes where record 3 should"},
    {"InsertedBehindTheEnd",
     [](Lines& l) {
       const size_t i = at(l, "run/2", 3);
       std::string more = l[i];
       edit(more, [](json& j) {
         j["prevHash"] = j["hash"];
         j["seq"] = "4";
         rehash(j);
       });
       l.insert(l.begin() + static_cast<long>(i) + 1, more);
     },
     "run/2: record 4 is behind the last record that was sealed"},
    {"Reordered", [](Lines& l) { std::swap(l[at(l, "run/2", 1)], l[at(l, "run/2", 2)]); },
     "run/2: record 1 is missing; the next one is 2"},
    {"TruncatedStream", [](Lines& l) { l.erase(l.begin() + static_cast<long>(at(l, "run/2", 3))); },
     "run/2: record 3 and all behind it are missing"},
    {"WholeStreamDeleted",
     [](Lines& l) {
       remove_lines(l, [](const json& j) { return j.value("stream", "") == "run/2"; });
     },
     "run/2: record 1 and the whole stream are missing"},
    {"WholeStreamDeletedFromTheContentsToo",
     [](Lines& l) {
       remove_lines(l, [](const json& j) { return j.value("stream", "") == "run/2"; });
       edit(l[at_key(l, "contents")], [](json& j) {
         auto& list = j["contents"];
         for (size_t i = 0; i < list.size(); ++i) {
           if (list[i]["stream"] == "run/2") list.erase(i);
         }
       });
     },
     "the contents are not those that were sealed"},
    {"StreamInserted",
     [](Lines& l) {
       std::string more = l[at(l, "run/2", 1)];
       edit(more, [](json& j) { j["stream"] = "run/3"; });
       l.push_back(more);
     },
     "a record of run/3, which is not among the sealed contents"},
    {"StreamComesBack", [](Lines& l) { l.push_back(l[at(l, "run/1", 3)]); },
     "records of run/1 come back after their end"},
    {"ErasedClaimed",
     [](Lines& l) {
       edit(l[at(l, "run/2", 2)], [](json& j) {
         j.erase("payload");
         j.erase("salt");
         j["erased"] = true;
       });
     },
     "run/2: record 2 its payload is missing and no erased record says why"},
    {"CutOffBeforeTheSeal", [](Lines& l) { l.resize(2); }, "ends before its seal"},
    {"CutOffInALine", [](Lines& l) { l.back().resize(l.back().size() / 2); },
     "the file was cut off or altered here"},
    {"SelectionRewritten", [](Lines& l) { edit(l[0], [](json& j) { j["selection"] = "run 2"; }); },
     "the seal's signature is wrong"},
    {"CheckpointRemoved",
     [](Lines& l) { l.erase(l.begin() + static_cast<long>(at_key(l, "checkpoint", 0))); },
     "streams or checkpoints were added, removed or altered"},
    {"NewestCheckpointRemoved",
     [](Lines& l) { l.erase(l.begin() + static_cast<long>(at_key(l, "checkpoint", 1))); },
     "streams or checkpoints were added, removed or altered"},
    {"OlderCheckpointHeadsRemoved",
     [](Lines& l) {
       edit(l[at_key(l, "checkpoint", 0)], [](json& j) { j["checkpoint"].erase("heads"); });
     },
     "checkpoint 1 does not say which streams it names"},
    {"SealInFrontOfTheCheckpoints",
     [](Lines& l) { std::swap(l[at_key(l, "seal")], l[at_key(l, "checkpoint", 0)]); },
     "a checkpoint out of its place"},
    {"ScopeRewritten", [](Lines& l) { edit(l[0], [](json& j) { j["wholeStore"] = false; }); },
     "the seal's signature is wrong"},
    {"VersionRewritten", [](Lines& l) { edit(l[0], [](json& j) { j["palyraExport"] = 1; }); },
     "NOT VERIFIED"},
    {"CheckpointHeadAltered",
     [](Lines& l) {
       edit(l[at_key(l, "checkpoint", 1)],
            [](json& j) { j["checkpoint"]["heads"][0]["seq"] = "9"; });
     },
     "the heads of checkpoint 2 were altered"},
    {"CheckpointHeadsRemoved",
     [](Lines& l) {
       edit(l[at_key(l, "checkpoint", 1)], [](json& j) { j["checkpoint"].erase("heads"); });
     },
     "covered by no checkpoint"},
    {"CheckpointPositionAltered",
     [](Lines& l) {
       edit(l[at_key(l, "checkpoint", 1)], [](json& j) { j["checkpoint"]["position"] = "1000"; });
     },
     "the signature of checkpoint 2 is wrong"},
    {"CheckpointsSwapped",
     [](Lines& l) { std::swap(l[at_key(l, "checkpoint", 0)], l[at_key(l, "checkpoint", 1)]); },
     "checkpoint 1 follows checkpoint 2"},
    {"SignedByAnotherKey",
     [](Lines& l) {
       edit(l[at_key(l, "checkpoint", 1)], [](json& j) {
         auto link = *parse_line(j.dump());
         const SigningKey other = test_key('x');
         link.public_key = other.public_key();
         link.signature = other.sign(signed_bytes(link));
         json again = json::parse(to_line(link));
         again["checkpoint"]["heads"] = j["checkpoint"]["heads"];
         j = again;
       });
     },
     "which is not one of --key"},
};

class Forged : public ::testing::TestWithParam<Forgery> {};

TEST_P(Forged, IsFoundAndLocated) {
  Lines lines = split(story_export());
  GetParam().change(lines);
  const Said said = Program().verify(lines);
  EXPECT_EQ(said.exit_code, 1) << said.out;
  EXPECT_THAT(said.out, HasSubstr("BROKEN"));
  EXPECT_THAT(said.out, HasSubstr(GetParam().verdict));
  EXPECT_THAT(said.out, HasSubstr("NOT VERIFIED"));
}

INSTANTIATE_TEST_SUITE_P(Export, Forged, ::testing::ValuesIn(kForgeries),
                         [](const auto& forgery) { return std::string(forgery.param.name); });

TEST(ExportTest, AnHonestOneVerifiesAndErasedIsErased) {
  const Said said = Program().verify(story_export());
  EXPECT_EQ(said.exit_code, 0) << said.out;
  EXPECT_THAT(said.out, HasSubstr("run/1: records 1 to 6, 2 erased, checkpoint 2"));
  EXPECT_THAT(said.out, HasSubstr("run/2: records 1 to 3, checkpoint 2"));
  EXPECT_THAT(said.out, HasSubstr("This export is of the whole store."));
  EXPECT_THAT(said.out, HasSubstr("VERIFIED: 11 records of 4 streams, 2 erased"));
}

TEST(ExportTest, ThePublicKeyMayBeAFileInHexOrPem) {
  const Program program;
  const std::string file = program.write("e", story_export());
  const std::string hex = digest::to_hex(test_key().public_key());
  EXPECT_EQ(program.run("--key " + program.write("k", hex + "\n") + " " + file).exit_code, 0);
  const std::string base64 = [&] {
    // SubjectPublicKeyInfo of Ed25519: a fixed beginning, then the key.
    const std::string der = *digest::from_hex("302a300506032b6570032100") + test_key().public_key();
    constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (size_t i = 0; i < der.size(); i += 3) {
      unsigned group = 0;
      for (size_t k = 0; k < 3; ++k) {
        group = group << 8 | (i + k < der.size() ? static_cast<unsigned char>(der[i + k]) : 0u);
      }
      for (int shift = 18; shift >= 0; shift -= 6) out += kDigits[group >> shift & 63];
    }
    for (size_t pad = der.size() % 3; pad % 3 != 0; ++pad) out[out.size() - (3 - pad)] = '=';
    return out;
  }();
  const std::string pem =
      program.write("p", "-----BEGIN PUBLIC KEY-----\n" + base64 + "\n-----END PUBLIC KEY-----\n");
  EXPECT_EQ(program.run("--key " + pem + " " + file).exit_code, 0);
}

TEST(ExportTest, AWrongKeyIsSaidInOneClearSentence) {
  const Program program;
  const std::string file = program.write("e", story_export());
  const Said said = program.run("--key " + digest::to_hex(test_key('x').public_key()) + " " + file);
  EXPECT_EQ(said.exit_code, 1);
  EXPECT_THAT(said.out, HasSubstr("this is another daemon's export, or the wrong key"));
  EXPECT_EQ(said.out.rfind("BROKEN"), 0u) << "said first, and nothing else:\n" << said.out;
}

TEST(ExportTest, WrongArgumentsAndFiles) {
  const Program program;
  const std::string key = "--key " + digest::to_hex(test_key().public_key()) + " ";
  EXPECT_EQ(program.run("").exit_code, 64);
  EXPECT_EQ(program.run("--key").exit_code, 64);
  EXPECT_EQ(program.run("--nonsense x").exit_code, 64);
  EXPECT_EQ(program.run(key).exit_code, 64);
  EXPECT_EQ(program.run(key + "a b").exit_code, 64);
  EXPECT_EQ(program.run(key + "/nowhere/export").exit_code, 66);
  EXPECT_EQ(program.run("--key /nowhere/key x").exit_code, 66);
  EXPECT_EQ(program.run("--key " + program.write("k", "nonsense") + " x").exit_code, 66);
  EXPECT_EQ(program.run(key + "--witness " + program.write("w", "{}") + " x").exit_code, 66);
  EXPECT_EQ(program.run("--help").exit_code, 0);
  const std::string directory = program.make_directory("d");
  const Said said = program.run(key + directory);
  EXPECT_EQ(said.exit_code, 66);
  EXPECT_THAT(said.out, HasSubstr("it is a directory"));
  EXPECT_EQ(program.run(key + "--witness " + directory + " x").exit_code, 66);
  EXPECT_EQ(program.run("--key " + directory + " x").exit_code, 66);
  EXPECT_EQ(program.run(key + program.write("e", story_export()) + " >/dev/full").exit_code, 74)
      << "what nobody could read is no verdict";
}

TEST(ExportTest, HostileFilesEndInAVerdict) {
  const Program program;
  const Lines honest = split(story_export());
  const auto with = [&](const std::string& line) {
    Lines lines = honest;
    lines.insert(lines.begin() + 3, line);
    return program.verify(lines);
  };
  EXPECT_EQ(program.verify(std::string()).exit_code, 1);
  EXPECT_EQ(program.verify(std::string(1000, '\0')).exit_code, 1);
  EXPECT_EQ(with(std::string(100'000, '[')).exit_code, 1);
  EXPECT_EQ(with(std::string(100'000, '{')).exit_code, 1);
  EXPECT_EQ(with("{\"stream\":\"" + std::string(34 << 20, 'x') + "\"}").exit_code, 1);
  // Every field of every line becomes something else.
  for (const std::string& line : honest) {
    const json parsed = json::parse(line);
    for (const auto& [key, value] : parsed.items()) {
      for (const json& other : {json(nullptr), json(7), json("x"), json::array({1})}) {
        if (key == "payloadJson" || key == "position") continue;
        json changed = parsed;
        changed[key] = other;
        Lines lines = honest;
        *std::find(lines.begin(), lines.end(), line) = changed.dump();
        const Said said = program.verify(lines);
        EXPECT_EQ(said.exit_code, 1) << changed.dump() << "\n" << said.out;
      }
    }
    if (parsed.contains("stream")) break;
  }
}

TEST(ExportTest, AHostileNameDoesNotReachTheTerminal) {
  Lines lines = split(story_export());
  lines.push_back(R"({"stream":"run/\u001b[2J","seq":"1"})");
  const Said said = Program().verify(lines);
  EXPECT_EQ(said.exit_code, 1);
  EXPECT_THAT(said.out, Not(HasSubstr("\033")));
}

TEST(ExportTest, AWitnessFindsAnExportOfAnOlderStore) {
  const Program program;
  Desk desk;
  desk.append("run/1");
  const std::string older = *desk.exported();
  const std::string first_line = to_line(*desk.cover());
  const std::string first = program.write("w1", first_line + "\n");
  desk.append("run/1");
  const std::string younger = *desk.exported();
  const std::string second = program.write("w2", to_line(*desk.cover()) + "\n");

  EXPECT_EQ(program.verify(older).exit_code, 0) << "without a witness nobody can tell";
  const Said said = program.verify(older, "--witness " + second);
  EXPECT_EQ(said.exit_code, 1);
  EXPECT_THAT(said.out, HasSubstr("is older than the witness"));
  EXPECT_EQ(program.verify(older, "--witness " + first).exit_code, 0);
  // Collected with >>, the last one is the newest.
  const std::string many = program.write("many", std::string(100'000, 'x') + "\n" + first_line +
                                                     "\n" + to_line(*desk.cover()) + "\n\n");
  EXPECT_THAT(program.verify(older, "--witness " + many).out, HasSubstr("older than the witness"));
  const Said later = program.verify(younger, "--witness " + second);
  EXPECT_EQ(later.exit_code, 0) << later.out;
  EXPECT_THAT(later.out, Not(HasSubstr("Note:")));

  Desk other;
  other.append("run/other", 7);
  const std::string foreign = program.write("w3", to_line(*other.cover()) + "\n");
  EXPECT_THAT(program.verify(older, "--witness " + foreign).out, HasSubstr("another history"));
  Link forged = *desk.cover();
  forged.position = 1;
  const std::string altered = program.write("w4", to_line(forged) + "\n");
  EXPECT_THAT(program.verify(younger, "--witness " + altered).out, HasSubstr("witness"));
  EXPECT_EQ(program.verify(younger, "--witness " + altered).exit_code, 1);
}

TEST(ExportTest, ASessionIsExportedWithItsRunsAndNothingElse) {
  const Program program;
  Desk desk;
  const auto session = [&](const std::string& id, const std::string& who, const std::string& run) {
    pb::CommitRequest request;
    pb::Append& append = *request.add_appends();
    append.set_stream("session/" + id);
    tape::SessionEvent created;
    created.mutable_session_created()->set_principal(who);
    append.add_records()->set_type("session_created");
    append.mutable_records(0)->set_payload(created.SerializeAsString());
    tape::SessionEvent input;
    input.mutable_input_accepted()->set_run_id(run);
    append.add_records()->set_type("input_accepted");
    append.mutable_records(1)->set_payload(input.SerializeAsString());
    ASSERT_TRUE(desk.run(desk.journal.commit(std::move(request))).ok());
    desk.append("run/" + run, 3);
  };
  session("S1", "user:ann", "R1");
  desk.cover();
  session("S2", "user:bob", "R2");
  api::ExportAuditRequest request;
  request.set_session_id("S1");
  std::string content = *desk.exported(request);
  EXPECT_THAT(program.verify(content).out,
              HasSubstr("VERIFIED: 5 records of 2 streams, 0 erased, 0 from archived files"));
  EXPECT_THAT(content, Not(HasSubstr("run/R2")));
  EXPECT_THAT(content, HasSubstr("session S1 and its runs"));

  request.Clear();
  request.set_principal("user:bob");
  content = *desk.exported(request);
  EXPECT_EQ(program.verify(content).exit_code, 0);
  EXPECT_THAT(content, HasSubstr("\"stream\":\"run/R2\""));
  EXPECT_THAT(content, Not(HasSubstr("\"stream\":\"run/R1\",\"seq\"")));

  request.Clear();
  request.set_run_id("R1");
  EXPECT_THAT(program.verify(*desk.exported(request)).out, HasSubstr("3 records of 1 streams"));
  request.set_session_id("S1");
  EXPECT_EQ(desk.exported(request).status().code(), Code::kInvalidArgument);
  for (const char* none : {"R9", "../R1"}) {
    request.Clear();
    request.set_run_id(none);
    EXPECT_EQ(desk.exported(request).status().code(), Code::kNotFound);
    request.Clear();
    request.set_session_id(none);
    EXPECT_EQ(desk.exported(request).status().code(), Code::kNotFound);
  }
}

TEST(ExportTest, ARangeOfTimeIsRoundedUpToACheckpointAndSaysWhatItLacks) {
  const Program program;
  Desk desk;
  for (int hour = 0; hour < 4; ++hour) {
    desk.append("run/1", 2);
    desk.append("run/" + std::to_string(10 + hour));
    desk.cover();
    desk.advance_s(3600);
  }
  const int64_t begin_ms = 1'767'225'600'000;
  api::ExportAuditRequest request;
  request.set_since_ms(begin_ms + 3'600'000);
  request.set_until_ms(begin_ms + 2 * 3'600'000);
  const std::string content = *desk.exported(request);
  const Said said = program.verify(content);
  EXPECT_EQ(said.exit_code, 0) << said.out;
  EXPECT_THAT(said.out, HasSubstr("run/1: records 3 to 6, checkpoint 3"));
  EXPECT_THAT(said.out, HasSubstr("run/11"));
  EXPECT_THAT(said.out, HasSubstr("run/12"));
  EXPECT_THAT(said.out, Not(HasSubstr("run/10")));
  EXPECT_THAT(said.out, Not(HasSubstr("run/13")));
  EXPECT_THAT(said.out, HasSubstr("only what came behind the last checkpoint before"));
  request.set_until_ms(1);
  EXPECT_EQ(desk.exported(request).status().code(), Code::kInvalidArgument);
  request.set_since_ms(begin_ms + 999'999'999);
  request.set_until_ms(0);
  EXPECT_EQ(desk.exported(request).status().code(), Code::kNotFound);
}

TEST(ExportTest, ARangeOfTimeLosesNothingThoughTheClockWasSetBack) {
  Desk desk;
  desk.append("run/0");
  desk.cover();
  desk.advance_s(3600);
  const int64_t since_ms = desk.clock.wall_now() / kNanosPerMilli;
  desk.append("run/1", 2);
  desk.append("run/2");
  desk.cover();
  desk.clock.jump_wall(-86'400 * kNanosPerSecond);
  desk.append("run/1", 2);
  desk.append("run/3");
  desk.cover();
  api::ExportAuditRequest request;
  request.set_since_ms(since_ms);
  Said said = Program().verify(*desk.exported(request));
  EXPECT_EQ(said.exit_code, 0) << said.out;
  EXPECT_THAT(said.out, HasSubstr("run/1: records 1 to 4"));
  EXPECT_THAT(said.out, HasSubstr("run/2"));
  EXPECT_THAT(said.out, HasSubstr("run/3"));
  EXPECT_THAT(said.out, Not(HasSubstr("run/0")));
  request.Clear();
  request.set_until_ms(since_ms);
  said = Program().verify(*desk.exported(request));
  EXPECT_EQ(said.exit_code, 0) << said.out;
  EXPECT_THAT(said.out, HasSubstr("run/3"));
}

// What was erased later is said behind the range.
TEST(ExportTest, ARangeOfTimeWhosePayloadsWereErasedLaterIsNotBroken) {
  Desk desk;
  desk.append("run/1", 3);
  desk.append("run/2", 3);
  desk.append("run/3", 3);
  desk.cover();
  const int64_t until_ms = desk.clock.wall_now() / kNanosPerMilli;
  desk.advance_s(3600);
  desk.append("run/2", 2);
  desk.append("run/3");
  desk.store.erase({"run/1", 1, 2, "asked to", "user:ann"}, [](auto) {});
  desk.store.erase({"run/3", 4, 0, "behind", "user:ann"}, [](auto) {});
  desk.executor.run_until_idle();
  desk.append("run/1", 2);
  api::ExportAuditRequest request;
  request.set_since_ms(1);
  request.set_until_ms(until_ms);
  for (const bool whole : {true, false}) {
    if (!whole) request.set_run_id("1");
    const Said said = Program().verify(*desk.exported(request));
    EXPECT_EQ(said.exit_code, 0) << said.out;
    EXPECT_THAT(said.out, HasSubstr("run/1: records 1 to 6, 2 erased, checkpoint 2"));
    if (!whole) break;
    EXPECT_THAT(said.out, HasSubstr("run/2: records 1 to 3, checkpoint 1"));
    EXPECT_THAT(said.out, HasSubstr("run/3: records 1 to 3, checkpoint 1"));
  }
}

TEST(ExportTest, AnErasureDuringTheExportEndsItAndSaysSo) {
  Desk desk;
  for (int i = 0; i < 4; ++i) desk.append("a/" + std::to_string(i), 1, std::string(400 << 10, 'a'));
  desk.append("run/1", 3);
  bool erased = false;
  const Send<api::ExportAuditChunk> send = [&](api::ExportAuditChunk) -> Task<bool> {
    if (!std::exchange(erased, true)) {
      desk.store.erase({"run/1", 1, 2, "asked to", "user:ann"}, [](auto) {});
    }
    co_return true;
  };
  const Status status = desk.run(desk.audit->export_audit(Desk::admin(), {}, send));
  EXPECT_EQ(status.code(), Code::kAborted) << status.to_string();
  EXPECT_THAT(status.message(), HasSubstr("export it once more"));
  EXPECT_EQ(Program().verify(*desk.exported()).exit_code, 0);
}

TEST(ExportTest, ThousandsOfStreamsAndBigRecordsVerify) {
  const Program program;
  Desk desk;
  for (int i = 0; i < 1200; ++i) desk.append("run/" + std::to_string(10000 + i));
  desk.append("big", 1, std::string(3 << 20, 'b'));
  const Said said = program.verify(*desk.exported(), "--quiet");
  EXPECT_EQ(said.exit_code, 0) << said.out;
}

TEST(ExportTest, ANewKeyNeedsTheOldOneToo) {
  const Program program;
  Desk desk;
  desk.append("run/1");
  desk.cover();
  desk.stop();
  desk.start(test_key('n'));
  desk.append("run/2");
  const std::string file = program.write("e", *desk.exported());
  const std::string old_key = digest::to_hex(test_key().public_key());
  const std::string new_key = digest::to_hex(test_key('n').public_key());
  EXPECT_EQ(program.run("--key " + new_key + " " + file).exit_code, 1);
  EXPECT_EQ(program.run("--key " + new_key + " --key " + old_key + " " + file).exit_code, 0);
}

TEST(ExportTest, AnEmptyStoreHasNothingToExport) {
  Desk desk;
  EXPECT_EQ(desk.exported().status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace palyra::gateway::audit::testing
