// A conversation is a tree of turns: branch, rewind, undo, pin.
#include "plugins/gateway/ports/testing/store_upkeep.h"
#include "plugins/gateway/session/keeper.h"
#include "plugins/gateway/session/tree_testing.h"

namespace palyra::gateway::testing {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

TEST(Branch, BeginsAtAnyTurnAndTheOriginalGoesOnUnchanged) {
  Talk talk;
  talk.say_all(5);
  const auto turns = talk.turns();
  ASSERT_THAT(turns, SizeIs(5));
  EXPECT_TRUE(turns[0].head());
  EXPECT_EQ(turns[3].input_preview(), "say2.");
  const auto branch = talk.branch(turns[3].turn_id());
  ASSERT_TRUE(branch.ok()) << branch.status().to_string();
  EXPECT_NE(branch->session_id(), talk.session);
  talk.say("other3", branch->session_id());
  EXPECT_THAT(talk.seen(), HasSubstr("say1.|"));
  EXPECT_THAT(talk.seen(), HasSubstr("say2.|"));
  EXPECT_THAT(talk.seen(), Not(HasSubstr("say3.")));
  talk.house.crash();
  talk.house.start();
  talk.say("other4", branch->session_id());
  EXPECT_THAT(talk.seen(), HasSubstr("say2.|echo: say2.|other3|"));
  EXPECT_THAT(talk.seen(), Not(HasSubstr("say3.")));
  talk.say("say6.");
  EXPECT_THAT(talk.seen(), HasSubstr("say5.|"));
  EXPECT_THAT(talk.seen(), Not(HasSubstr("other")));
  // A branch of the branch, at a turn of the original: both lists lead back to the beginning.
  const auto second = talk.branch(turns[4].turn_id(), "", branch->session_id());
  ASSERT_TRUE(second.ok()) << second.status().to_string();
  EXPECT_THAT(talk.turns(false, second->session_id()), SizeIs(1));
  const auto listed = talk.turns(false, branch->session_id());
  ASSERT_THAT(listed, SizeIs(4));
  EXPECT_EQ(listed[2].session_id(), talk.session);
  EXPECT_EQ(listed[1].session_id(), branch->session_id());
}

TEST(Branch, OfAnotherPrincipalIsRefusedAndTheSameKeyIsTheSameBranch) {
  Talk talk;
  talk.say_all(2);
  api::BranchSessionRequest request;
  request.set_session_id(talk.session);
  EXPECT_EQ(talk.house.run(talk.house.gateway->branch_session(House::caller("user:bob"), request))
                .status()
                .code(),
            Code::kPermissionDenied);
  const auto one = talk.branch("", "key");
  const auto two = talk.branch("", "key");
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->session_id(), two->session_id());
  EXPECT_EQ(talk.branch("01JZZZZZZZZZZZZZZZZZZZZZZZ").status().code(), Code::kNotFound);
  api::ListTurnsRequest list;
  list.set_session_id(talk.session);
  EXPECT_EQ(talk.house.run(talk.house.gateway->list_turns(House::caller("user:bob"), list))
                .status()
                .code(),
            Code::kPermissionDenied);
}

TEST(Branch, AllItsTurnsAreThoseOfWhatItWasBranchedFromToo) {
  Talk talk;
  talk.say_all(3);
  ASSERT_TRUE(talk.back(1).ok());
  talk.say("say4.");
  const auto original = talk.turns(true);
  ASSERT_THAT(original, SizeIs(4));
  const auto branch = talk.branch();
  ASSERT_TRUE(branch.ok());
  EXPECT_EQ(branch->turns(), 3U);
  talk.say("later, in the original");
  for (const bool said : {false, true}) {
    if (said) talk.say("other", branch->session_id());
    for (const uint32_t page : {1U, 2U, 50U}) {
      auto all = talk.turns(true, branch->session_id(), page);
      ASSERT_THAT(all, SizeIs(said ? 5 : 4));
      EXPECT_TRUE(all[0].head());
      if (said) {
        EXPECT_EQ(all[0].session_id(), branch->session_id());
        all.erase(all.begin());
      }
      for (size_t i = 0; i < all.size(); ++i) {
        EXPECT_EQ(all[i].turn_id(), original[i].turn_id());
        EXPECT_EQ(all[i].session_id(), talk.session);
        EXPECT_EQ(all[i].on_path(), original[i].on_path());
      }
    }
  }
  const auto second = talk.branch("", "", branch->session_id());
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->turns(), 4U);
  EXPECT_THAT(talk.turns(true, second->session_id()), SizeIs(5));
  // The token of one list is none for whoever else has it.
  const auto stranger = talk.house.send("hi");
  ASSERT_TRUE(stranger.ok());
  api::ListTurnsRequest list;
  list.set_session_id(branch->session_id());
  list.set_all(true);
  list.set_page_size(2);
  const auto page = talk.house.run(talk.house.gateway->list_turns(House::caller(), list));
  ASSERT_TRUE(page.ok());
  ASSERT_NE(page->next_page_token(), "");
  const auto bob =
      talk.house.run(talk.house.gateway->start_run(House::caller("user:bob"), House::say("mine")));
  ASSERT_TRUE(bob.ok());
  list.set_session_id(bob->session_id);
  list.set_page_token(page->next_page_token());
  EXPECT_EQ(talk.house.run(talk.house.gateway->list_turns(House::caller("user:bob"), list))
                .status()
                .code(),
            Code::kPermissionDenied);
}

struct Compared {
  Status status;
  std::string common;
  std::string left;  // "message>answer ..."
  std::string right;
  uint32_t left_turns = 0;
  uint32_t right_turns = 0;
};

Compared compare(Talk& talk, const std::string& one, const std::string& other,
                 uint32_t page_size = 0, const std::string& who = "user:ann") {
  Compared out;
  api::CompareSessionsRequest request;
  request.set_session_id(one);
  request.set_other_session_id(other);
  request.set_page_size(page_size);
  do {
    const auto answer =
        talk.house.run(talk.house.gateway->compare_sessions(House::caller(who), request));
    out.status = answer.status();
    if (!answer.ok()) return out;
    out.common = answer->common().message();
    out.left_turns = answer->left_turns();
    out.right_turns = answer->right_turns();
    for (const auto& turn : answer->left()) out.left += turn.message() + ">" + turn.answer() + " ";
    for (const auto& turn : answer->right()) {
      out.right += turn.message() + ">" + turn.answer() + " ";
    }
    request.set_page_token(answer->next_page_token());
  } while (!request.page_token().empty());
  return out;
}

TEST(Branch, IsComparedWithWhatItWasBranchedFromAndWithItsSiblings) {
  Talk talk;
  talk.say_all(5);
  const auto turns = talk.turns();
  const std::string one = talk.branch(turns[2].turn_id()).value().session_id();    // the third
  const std::string other = talk.branch(turns[1].turn_id()).value().session_id();  // the fourth
  const std::string below = talk.branch("", "", one).value().session_id();
  for (const char* text : {"a", "b", "c"}) talk.say(text, one);
  talk.say("x", other);
  for (const bool restarted : {false, true}) {
    if (restarted) {
      talk.house.crash();
      talk.house.start();
    }
    for (const uint32_t page : {0U, 1U, 2U}) {
      const auto siblings = compare(talk, one, other, page);
      ASSERT_TRUE(siblings.status.ok()) << siblings.status.to_string();
      EXPECT_EQ(siblings.common, "say3.");
      EXPECT_EQ(siblings.left, "a>echo: a b>echo: b c>echo: c ");
      EXPECT_EQ(siblings.right, "say4.>echo: say4. x>echo: x ");
      EXPECT_EQ(siblings.left_turns, 3U);
      EXPECT_EQ(siblings.right_turns, 2U);
    }
    const auto original = compare(talk, talk.session, other);
    EXPECT_EQ(original.common, "say4.");
    EXPECT_EQ(original.left, "say5.>echo: say5. ");
    EXPECT_EQ(original.right, "x>echo: x ");
    const auto branch = compare(talk, below, one);
    EXPECT_EQ(branch.left_turns, 0U);
    EXPECT_EQ(branch.right_turns, 3U);
    EXPECT_EQ(compare(talk, one, one).left_turns, 0U);
    EXPECT_EQ(compare(talk, one, one).common, "c");
  }
  const std::string elsewhere = talk.house.send("alone").value().session_id;
  talk.house.executor.run_until_idle();
  const auto none = compare(talk, elsewhere, talk.session);
  EXPECT_EQ(none.common, "");
  EXPECT_EQ(none.left_turns, 1U);
  EXPECT_EQ(none.right_turns, 5U);
}

TEST(Branch, OfAnotherPrincipalIsNotCompared) {
  Talk talk;
  talk.say("mine");
  const auto bobs =
      talk.house.run(talk.house.gateway->start_run(House::caller("user:bob"), House::say("his")));
  talk.house.executor.run_until_idle();
  const std::string his = bobs.value().session_id;
  EXPECT_EQ(compare(talk, talk.session, his).status.code(), Code::kPermissionDenied);
  EXPECT_EQ(compare(talk, his, talk.session).status.code(), Code::kPermissionDenied);
  EXPECT_EQ(compare(talk, his, his, 0, "user:bob").status.code(), Code::kOk);
  EXPECT_EQ(compare(talk, talk.session, "no id").status.code(), Code::kInvalidArgument);
  EXPECT_EQ(compare(talk, talk.session, talk.session, 101).status.code(), Code::kInvalidArgument);
  api::CompareSessionsRequest request;
  request.set_session_id(talk.session);
  request.set_other_session_id(talk.session);
  request.set_page_token("6162");
  EXPECT_EQ(talk.house.run(talk.house.gateway->compare_sessions(House::caller(), request))
                .status()
                .code(),
            Code::kInvalidArgument);
}

TEST(Rewind, UndoAndRedoMoveTheHeadAndForgetNothing) {
  Talk talk;
  talk.say_all(4);
  ASSERT_TRUE(talk.back(1).ok());
  ASSERT_TRUE(talk.back(1).ok());
  ASSERT_TRUE(talk.redo().ok());
  talk.say("after");
  EXPECT_THAT(talk.seen(), HasSubstr("say3.|echo: say3.|after"));
  EXPECT_THAT(talk.seen(), Not(HasSubstr("say4.")));
  EXPECT_EQ(talk.redo().status().code(), Code::kFailedPrecondition) << "a turn was added";
  EXPECT_THAT(talk.turns(), SizeIs(4));
  const auto all = talk.turns(true);
  ASSERT_THAT(all, SizeIs(5));
  EXPECT_EQ(all[1].input_preview(), "say4.");
  EXPECT_FALSE(all[1].on_path());
  EXPECT_TRUE(all[2].on_path());
  // What was abandoned can be gone back to, over a restart too.
  ASSERT_TRUE(talk.rewind_to(all[1].turn_id()).ok());
  talk.house.crash();
  talk.house.start();
  talk.say("again");
  EXPECT_THAT(talk.seen(), HasSubstr("say4.|echo: say4.|again"));
  EXPECT_THAT(talk.seen(), Not(HasSubstr("after")));
}

TEST(Rewind, ToBeforeTheFirstTurnAndBackAndNoFurther) {
  Talk talk;
  talk.say_all(2);
  EXPECT_EQ(talk.back(3).status().code(), Code::kOutOfRange);
  const auto empty = talk.back(2);
  ASSERT_TRUE(empty.ok()) << empty.status().to_string();
  EXPECT_EQ(empty->head_turn(), "");
  EXPECT_EQ(talk.back(1).status().code(), Code::kOutOfRange);
  EXPECT_THAT(talk.turns(), IsEmpty());
  ASSERT_TRUE(talk.redo().ok());
  talk.say("more");
  EXPECT_THAT(talk.seen(), HasSubstr("say2.|echo: say2.|more"));
}

TEST(Rewind, UnderARunThatHasNotEndedIsRefused) {
  Talk talk;
  talk.say_all(2);
  talk.house.providers.hang({"thinking"});
  talk.say("wait");
  EXPECT_EQ(talk.back(1).status().code(), Code::kFailedPrecondition);
  talk.house.providers.release();
  talk.house.executor.run_until_idle();
  EXPECT_TRUE(talk.back(1).ok());
}

TEST(Rewind, AfterAResetGoesToWhatWasThereBeforeOnlyByName) {
  Talk talk;
  talk.say_all(2);
  const auto turns = talk.turns();
  api::ResetSessionRequest reset;
  reset.set_session_id(talk.session);
  ASSERT_TRUE(talk.house.run(talk.house.gateway->reset_session(House::caller(), reset)).ok());
  EXPECT_THAT(talk.turns(), IsEmpty());
  EXPECT_EQ(talk.redo().status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(talk.turns(true), SizeIs(2));
  EXPECT_TRUE(talk.branch(turns[0].turn_id()).ok());
  ASSERT_TRUE(talk.rewind_to(turns[1].turn_id()).ok());
  talk.say("back");
  EXPECT_THAT(talk.seen(), HasSubstr("say1.|echo: say1.|back"));
}

TEST(Pins, AreShownWordForWordAfterTheSystemPromptUntilUnpinnedOrReset) {
  Talk talk;
  talk.say_all(1);
  const auto pin = talk.pin("The deadline is Friday.");
  ASSERT_TRUE(pin.ok());
  EXPECT_EQ(talk.pin("The deadline is Friday.")->pin_id(), pin->pin_id()) << "once";
  ASSERT_TRUE(talk.pin("Never touch /etc.").ok());
  talk.house.crash();
  talk.house.start();
  talk.say("next");
  EXPECT_THAT(talk.seen(),
              HasSubstr("You are terse.|Keep in mind, for all of this conversation:\n- The "
                        "deadline is Friday.\n- Never touch /etc.|say1."));
  EXPECT_EQ(talk.house.providers.requests.back().messages(1).role(), service::ROLE_USER);
  const auto branch = talk.branch();
  ASSERT_TRUE(branch.ok());
  api::UnpinFactRequest unpin;
  unpin.set_session_id(talk.session);
  unpin.set_pin_id(pin->pin_id());
  ASSERT_TRUE(talk.house.run(talk.house.gateway->unpin_fact(House::caller(), unpin)).ok());
  EXPECT_EQ(talk.house.run(talk.house.gateway->unpin_fact(House::caller(), unpin)).status().code(),
            Code::kNotFound);
  talk.say("then");
  EXPECT_THAT(talk.seen(), Not(HasSubstr("Friday")));
  talk.say("in the branch", branch->session_id());
  EXPECT_THAT(talk.seen(), HasSubstr("Friday")) << "its own copy";
  api::ResetSessionRequest reset;
  reset.set_session_id(talk.session);
  ASSERT_TRUE(talk.house.run(talk.house.gateway->reset_session(House::caller(), reset)).ok());
  talk.say("anew");
  EXPECT_THAT(talk.seen(), Not(HasSubstr("/etc")));
}

TEST(Pins, AreBounded) {
  Talk talk;
  talk.say_all(1);
  EXPECT_EQ(talk.pin("").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(talk.pin(std::string(4'097, 'x')).status().code(), Code::kInvalidArgument);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(talk.pin(std::string(4'096, static_cast<char>('a' + i))).ok());
  }
  EXPECT_EQ(talk.pin("x").status().code(), Code::kFailedPrecondition) << "waiting does not help";
}

void add_turns(Talk& talk, int count, bool with_places) {
  talk.say("one");
  api::GetSessionRequest get;
  get.set_session_id(talk.session);
  api::Session doc = talk.house.run(talk.house.gateway->get_session(House::caller(), get)).value();
  const auto first = talk.turns().front();
  talk.house.crash();
  const std::string stream = session_stream(talk.session);
  uint64_t seq = 0;
  {
    service::ReadRequest read;
    read.set_stream(stream);
    seq = talk.house.run(talk.house.journal.read(read))->head_seq();
  }
  while (count > 0) {
    service::CommitRequest commit;
    const uint64_t begin = seq;
    for (int i = 0; i < 500 && count > 0; ++i, --count) {
      tape::SessionEvent event;
      auto& added = *event.mutable_turn_added();
      added.set_turn_id(talk.house.ids.ulid());
      added.set_parent(doc.head_turn());
      added.set_run_id(first.run_id());
      added.set_first_seq(1);
      added.set_last_seq(100);
      if (with_places) {
        added.mutable_parent_at()->set_turn_id(doc.head_turn());
        added.mutable_parent_at()->set_session_id(doc.head_session());
        added.mutable_parent_at()->set_seq(doc.head_seq());
      }
      append(commit, stream, begin, event, talk.house.clock.wall_now());
      doc.set_head_turn(added.turn_id());
      doc.set_head_seq(++seq);
    }
    doc.set_turns(doc.turns() + 500);
    if (!with_places) {
      doc.clear_head_seq();
      doc.clear_head_session();
    }
    put_session(commit, doc);
    const auto committed = talk.house.run(talk.house.journal.commit(commit));
    ASSERT_TRUE(committed.ok()) << committed.status().to_string();
  }
  talk.house.start();
}

TEST(History, OfATenThousandTurnSessionCostsAWindow) {
  Talk talk(small_window(1'000));
  add_turns(talk, 10'000, true);
  talk.summary_failure = Status(Code::kInvalidArgument, "not now");
  const size_t before = talk.house.journal.reads();
  talk.say("next");
  // 800 tokens are at most 80 turns of two short messages: a read each for their runs, and one for
  // each page of 64 records. What is to be summarised begins with the first turn, which is looked
  // for without reading what was said.
  constexpr size_t kPages = 10'000 / 64;
  EXPECT_LE(talk.house.journal.reads() - before, 200U + kPages);
  const auto branch = talk.branch();
  ASSERT_TRUE(branch.ok());
  const size_t branched = talk.house.journal.reads();
  talk.say("there", branch->session_id());
  EXPECT_LE(talk.house.journal.reads() - branched, 200U + kPages);
  const size_t undone = talk.house.journal.reads();
  ASSERT_TRUE(talk.back(100).ok());
  EXPECT_LE(talk.house.journal.reads() - undone, 10U);
}

TEST(History, OfTapesFromBeforeThereWerePlacesIsWalkedAllTheSame) {
  Talk talk;
  add_turns(talk, 30, false);
  talk.say("next");
  const std::string seen = talk.seen();
  size_t count = 0;
  for (size_t at = seen.find("one|"); at != std::string::npos; at = seen.find("one|", at + 1)) {
    ++count;
  }
  EXPECT_EQ(count, 62U) << "31 turns, said and echoed";
  EXPECT_THAT(talk.turns(), SizeIs(32));
  ASSERT_TRUE(talk.back(5).ok());
  EXPECT_THAT(talk.turns(), SizeIs(27));
  const auto branch = talk.branch();
  ASSERT_TRUE(branch.ok());
  EXPECT_THAT(talk.turns(false, branch->session_id()), SizeIs(27));
}

// Erases a run; as the operator's command does.
void erase(Talk& talk, const std::string& run) {
  StoreUpkeep upkeep(talk.house.store);
  Keeper keeper(*talk.house.gateway, upkeep);
  const auto erased = talk.house.run(keeper.erase_run(House::caller(), run, "asked to forget"));
  ASSERT_TRUE(erased.ok()) << erased.status().to_string();
}

TEST(History, OfAnErasedTurnHasNothingOfItAndTakesNoPlace) {
  Talk talk;
  std::vector<std::string> runs;
  for (int i = 1; i <= 9; ++i) runs.push_back(talk.say("say" + std::to_string(i) + "."));
  erase(talk, runs[6]);
  const std::string run = talk.say("next");
  EXPECT_THAT(talk.seen(), HasSubstr("echo: say6.|say8.|echo: say8.|"));
  EXPECT_THAT(talk.seen(), Not(HasSubstr("Data from"))) << "nothing untrusted";
  EXPECT_THAT(talk.seen(), Not(HasSubstr("||")));
  const auto now = talk.explain(run);
  EXPECT_TRUE(now.contexts(0).as_sent()) << now.contexts(0).detail();
  EXPECT_THAT(talk.explain(runs[8]).contexts(0).detail(), HasSubstr("is not what it was"));
  // Six others stay, so that three of the nine are summarised, and nothing they hold is untrusted.
  EXPECT_THAT(talk.compact(), HasSubstr("3 turns, "));
  EXPECT_THAT(text_of(talk.summarised[0]), HasSubstr("say3."));
  EXPECT_THAT(text_of(talk.summarised[0]), Not(HasSubstr("say4.")));
  talk.say("and then");
  EXPECT_THAT(talk.seen(), HasSubstr("SUMMARY 1"));
  EXPECT_THAT(talk.seen(), Not(HasSubstr("Data from")));
}

TEST(Erased, ARunIsStillOneThatEndedAndIsExplainedAsErased) {
  Talk talk;
  std::vector<std::string> runs = {talk.say("one")};
  talk.house.providers.fail(Status(Code::kInvalidArgument, "no"),
                            service::FAILURE_KIND_BAD_REQUEST);
  runs.push_back(talk.say("two"));
  for (const std::string& run : runs) {
    erase(talk, run);
    for (const uint64_t from : {0U, 3U}) {
      const auto watched = talk.house.attach(run, from);
      ASSERT_NE(watched, nullptr);
      const auto events = talk.house.all(*watched);
      ASSERT_FALSE(events.empty());
      EXPECT_EQ(events.back().status().state(),
                run == runs[0] ? api::RUN_STATE_COMPLETED : api::RUN_STATE_FAILED);
      EXPECT_EQ(std::count_if(events.begin(), events.end(),
                              [](const auto& event) { return event.has_status(); }),
                1);
    }
    api::ExplainRunRequest request;
    request.set_run_id(run);
    const auto explained =
        talk.house.run(talk.house.gateway->explain_run(House::caller(), request));
    EXPECT_EQ(explained.status().code(), Code::kNotFound);
    EXPECT_THAT(explained.status().message(), HasSubstr("is erased"));
  }
}

TEST(Erased, ATitleBehindBlankLinesGoesWithItsMessage) {
  Talk talk;
  const std::string run = talk.say("\n\n  My secret plan\r\nand more");
  api::GetSessionRequest get;
  get.set_session_id(talk.session);
  const auto title = [&] {
    return talk.house.run(talk.house.gateway->get_session(House::caller(), get))->title();
  };
  EXPECT_EQ(title(), "My secret plan");
  erase(talk, run);
  EXPECT_EQ(title(), "[erased]");
  // One that the preview of the message does not show is none, or it would stay.
  talk.session.clear();
  talk.say(std::string(200, '\n') + "secret");
  get.set_session_id(talk.session);
  EXPECT_EQ(title(), "");
}

TEST(Branch, WhoseFirstRecordIsErasedStillLeadsToWhatItWasBranchedFrom) {
  Talk talk;
  talk.say_all(3);
  const auto turns = talk.turns();
  const auto branch = talk.branch();
  ASSERT_TRUE(branch.ok());
  // What begins with the title takes the title with it, and that is in the record of the branch.
  const std::string run = talk.say("say1. once more", branch->session_id());
  erase(talk, run);
  api::ReadTapeRequest tape;
  tape.set_session_id(branch->session_id());
  const auto read = talk.house.run(talk.house.gateway->read_tape(House::caller(), tape));
  ASSERT_TRUE(read.ok() && read->entries(0).erased());
  EXPECT_THAT(talk.turns(true, branch->session_id()), SizeIs(4));
  const auto second = talk.branch(turns[2].turn_id(), "", branch->session_id());
  ASSERT_TRUE(second.ok()) << second.status().to_string();
  EXPECT_EQ(second->turns(), 1U);
}

TEST(Pins, APromptThatIsSentAgainAfterACrashIsTheOneOnTheTape) {
  Talk talk;
  talk.say_all(2);
  talk.house.providers.hang({"half an ans"});
  ASSERT_TRUE(talk.house.send("more", talk.session).ok());
  talk.house.executor.run_until_idle();
  const std::string before = talk.seen();
  ASSERT_TRUE(talk.pin("The code word is heron.").ok());
  const size_t asked = talk.house.providers.requests.size();
  talk.house.crash();
  talk.house.start();
  talk.house.executor.run_until_idle();
  EXPECT_GT(talk.house.providers.requests.size(), asked);
  EXPECT_EQ(talk.seen(), before);
  talk.say("next");
  EXPECT_THAT(talk.seen(), HasSubstr("heron"));
}

}  // namespace
}  // namespace palyra::gateway::testing
