#include "plugins/common/sse/parser.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace palyra::sse {
namespace {

using Events = std::vector<std::string>;

// "type|data|id" of each event, with the bytes fed in portions.
Events parse(const std::string& bytes, size_t portion = SIZE_MAX) {
  Events events;
  Parser parser([&events](const Event& event) {
    events.push_back(std::string(event.type) + "|" + std::string(event.data) + "|" +
                     std::string(event.id));
    return true;
  });
  for (size_t at = 0; at < bytes.size(); at += std::min(portion, bytes.size() - at)) {
    EXPECT_TRUE(parser.feed(std::string_view(bytes).substr(at, portion)).ok());
  }
  return events;
}

TEST(Sse, OneEvent) { EXPECT_EQ(parse("data: hello\n\n"), Events{"message|hello|"}); }

TEST(Sse, LinesEndInAnyOfThreeWays) {
  for (const std::string end : {"\n", "\r", "\r\n"}) {
    EXPECT_EQ(parse("event: a" + end + "data: 1" + end + end + "data: 2" + end + end),
              (Events{"a|1|", "message|2|"}));
  }
}

TEST(Sse, DataLinesAreJoined) {
  EXPECT_EQ(parse("data: a\ndata:\ndata: b\n\n"), Events{"message|a\n\nb|"});
  EXPECT_EQ(parse("data\n\n"), Events{"message||"});
}

TEST(Sse, OneLeadingSpaceIsDropped) {
  EXPECT_EQ(parse("data:a\n\ndata: a\n\ndata:  a\n\n"),
            (Events{"message|a|", "message|a|", "message| a|"}));
}

TEST(Sse, CommentsUnknownFieldsAndEmptyEventsAreSilent) {
  EXPECT_EQ(parse(": keep-alive\n\nfoo: bar\n\nevent: x\n\ndata: 1\n\n"), Events{"message|1|"});
}

TEST(Sse, IdStaysUntilChangedAndNulIsRefused) {
  EXPECT_EQ(parse("id: 7\ndata: a\n\ndata: b\n\n" + std::string("id: x\0y\n", 8) +
                  "data: c\n\nid\ndata: d\n\n"),
            (Events{"message|a|7", "message|b|7", "message|c|7", "message|d|"}));
}

TEST(Sse, AByteOrderMarkIsSkippedOnceAtTheStart) {
  EXPECT_EQ(parse("\xEF\xBB\xBF"
                  "data: a\n\n\xEF\xBB\xBF"
                  "data: b\n\n"),
            Events{"message|a|"});
}

TEST(Sse, AnUnfinishedEventIsDropped) {
  EXPECT_EQ(parse("data: a\n\ndata: b\n"), Events{"message|a|"});
  EXPECT_EQ(parse("data: a\n\ndata: b"), Events{"message|a|"});
}

TEST(Sse, KnowsWhetherItIsInsideAnEvent) {
  Parser parser([](const Event&) { return true; });
  EXPECT_FALSE(parser.in_event());
  ASSERT_TRUE(parser.feed("data: a").ok());
  EXPECT_TRUE(parser.in_event());
  ASSERT_TRUE(parser.feed("\n").ok());
  EXPECT_TRUE(parser.in_event());
  ASSERT_TRUE(parser.feed("\n").ok());
  EXPECT_FALSE(parser.in_event());
}

TEST(Sse, RetryIsANumberOrNothing) {
  Parser parser([](const Event&) { return true; });
  ASSERT_TRUE(parser.feed("retry: soon\nretry: -5\nretry: 99999999999999999999\nretry:\n").ok());
  EXPECT_FALSE(parser.retry_ms().has_value());
  ASSERT_TRUE(parser.feed("retry: 1500\n").ok());
  EXPECT_EQ(parser.retry_ms(), 1500);
}

TEST(Sse, TheReceiverMayStop) {
  int events = 0;
  Parser parser([&events](const Event&) { return ++events < 2; });
  ASSERT_TRUE(parser.feed("data: 1\n\ndata: 2\n\ndata: 3\n\n").ok());
  ASSERT_TRUE(parser.feed("data: 4\n\n").ok());
  EXPECT_EQ(events, 2);
}

TEST(Sse, ALineWithoutEndIsCutAtTheLimit) {
  Parser parser([](const Event&) { return true; }, 1000);
  Status status;
  for (int i = 0; i < 11 && status.ok(); ++i) status = parser.feed(std::string(100, 'x'));
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_FALSE(parser.feed("data: a\n\n").ok()) << "it stays failed";
}

TEST(Sse, ManyDataLinesAreCutAtTheLimit) {
  Parser parser([](const Event&) { return true; }, 1000);
  Status status;
  for (int i = 0; i < 200 && status.ok(); ++i) status = parser.feed("data: 0123456789\n");
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
}

TEST(Sse, AnySplitGivesTheSameEvents) {
  const std::string stream =
      "\xEF\xBB\xBF: hi\r\n\r\nid: 1\r\nevent: t\r\ndata: {\"a\":\r\ndata: \"\xC5\xBE\"}\r\n\r\n"
      "data: lf\n\ndata: cr\r\rdata: mixed\r\n\n\r\ndata: [DONE]\n\n";
  const Events whole = parse(stream);
  ASSERT_EQ(whole.size(), 5u);
  for (size_t portion = 1; portion <= stream.size(); ++portion) {
    EXPECT_EQ(parse(stream, portion), whole) << "portions of " << portion;
  }
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    Events events;
    Parser parser([&events](const Event& event) {
      events.push_back(std::string(event.type) + "|" + std::string(event.data) + "|" +
                       std::string(event.id));
      return true;
    });
    ASSERT_TRUE(parser.feed(stream.substr(0, cut)).ok());
    ASSERT_TRUE(parser.feed(stream.substr(cut)).ok());
    EXPECT_EQ(events, whole) << "cut at " << cut;
  }
}

TEST(Sse, RandomBytesSplitAtRandomGiveTheSameEvents) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::string alphabet("data: eventid:retry\r\n\r\n::  x\0\xEF\xBB\xBF", 33);
  for (int round = 0; round < 300; ++round) {
    std::string stream;
    for (int i = 0; i < 200; ++i) {
      // Half of the time something that means something.
      static const char* const kParts[] = {"data: ", "event: ", "id: ", "\n", "\r", "\r\n", "\n\n"};
      if (random() % 2 == 0) {
        stream += kParts[random() % 7];
      } else {
        stream += alphabet[random() % alphabet.size()];
      }
    }
    const Events whole = parse(stream);
    EXPECT_EQ(parse(stream, 1), whole);
    EXPECT_EQ(parse(stream, random() % 10 + 1), whole);
  }
}

}  // namespace
}  // namespace palyra::sse
