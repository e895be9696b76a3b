// A TurnSink that writes down what it is told.
#pragma once

#include "plugins/common/provider/turn_sink.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace palyra::provider::testing {

struct Transcript {
  std::string text;
  std::string reasoning;
  std::vector<std::string> deltas;  // of the text
  std::vector<common::v1::ToolCall> calls;
  int events = 0;
  int endings = 0;
  bool finished = false;
  Status status;
  service::v1::ChatResult result;
  service::v1::ChatFailure failure;

  bool ended() const { return endings > 0; }
};

class RecordingSink : public TurnSink {
 public:
  explicit RecordingSink(std::shared_ptr<Transcript> to) : to_(std::move(to)) {}

  void event(const service::v1::ChatEvent& event) override {
    EXPECT_EQ(to_->endings, 0) << "an event after the end";
    ++to_->events;
    if (event.has_text_delta()) {
      to_->text += event.text_delta();
      to_->deltas.push_back(event.text_delta());
    } else if (event.has_reasoning_delta()) {
      to_->reasoning += event.reasoning_delta();
    } else if (event.has_tool_call()) {
      to_->calls.push_back(event.tool_call());
    }
  }
  void finish(const service::v1::ChatResult& result) override {
    EXPECT_EQ(++to_->endings, 1);
    to_->finished = true;
    to_->result = result;
  }
  void fail(const Status& status, const service::v1::ChatFailure& failure) override {
    EXPECT_EQ(++to_->endings, 1);
    EXPECT_FALSE(status.ok());
    to_->status = status;
    to_->failure = failure;
  }

 private:
  std::shared_ptr<Transcript> to_;
};

}  // namespace palyra::provider::testing
