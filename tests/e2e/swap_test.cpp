// Parts are exchanged by configuration alone: what is there stays, what is new works.
#include "plugins/common/http/testing/raw_server.h"
#include "tests/e2e/run_client.h"

#include <gmock/gmock.h>

namespace palyra::e2e {
namespace {

using http::testing::RawServer;
using testing::HasSubstr;

// Speaks just enough of the protocol: streams the last message of the prompt back.
void answer_like_openai(RawServer::Connection& connection) {
  RawServer::Request request;
  while (connection.read_request(&request)) {
    const std::string body =
        "data: {\"id\": \"1\", \"model\": \"m\", \"choices\": [{\"index\": 0, \"delta\": "
        "{\"role\": \"assistant\", \"content\": \"the other \"}}]}\n\n"
        "data: {\"id\": \"1\", \"model\": \"m\", \"choices\": [{\"index\": 0, \"delta\": "
        "{\"content\": \"provider\"}, \"finish_reason\": \"stop\"}]}\n\n"
        "data: [DONE]\n\n";
    if (!connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: " +
                         std::to_string(body.size()) + "\r\n\r\n" + body)) {
      return;
    }
  }
}

class SwapTest : public testing::Test {
 protected:
  // The answer to `text`, in `session` if there is one.
  std::string say(const Daemon& daemon, const std::string& text, const std::string& model = "") {
    RunClient client(daemon);
    api::RunStreamRequest request;
    request.mutable_start()->set_text(text);
    request.mutable_start()->set_session_id(session_);
    request.mutable_start()->set_model(model);
    EXPECT_TRUE(client.send(request));
    const auto ended = client.finish();
    EXPECT_TRUE(ended.ok()) << ended.error_message();
    EXPECT_EQ(client.status.state(), api::RUN_STATE_COMPLETED)
        << client.status.failure().message() << daemon.log();
    EXPECT_THAT(client.problems, testing::IsEmpty());
    session_ = client.session_id;
    return client.status.text();
  }

  std::string session_;
};

TEST_F(SwapTest, AProviderIsExchangedByConfigurationAndTheSessionGoesOn) {
  RawServer server(answer_like_openai);
  Daemon daemon;
  ASSERT_TRUE(daemon.start()) << daemon.log();
  EXPECT_THAT(say(daemon, "hello"), HasSubstr("offline provider"));
  ASSERT_EQ(daemon.stop(), 0);

  const std::string before = daemon.config();
  daemon.edit_config("model = \"embedded/rules\"", "model = \"remote/m\"");
  daemon.write_config(daemon.config() +
                      "[plugins.remote]\nuse = \"dev.palyra.openai\"\n[plugins.remote.config]\n"
                      "base_url = \"" +
                      server.url("/v1") + "\"\n");
  ASSERT_TRUE(daemon.start()) << daemon.log();
  EXPECT_EQ(say(daemon, "hello again"), "the other provider");
  ASSERT_EQ(daemon.stop(), 0);

  daemon.write_config(before);
  ASSERT_TRUE(daemon.start()) << daemon.log();
  EXPECT_THAT(say(daemon, "and back"), HasSubstr("offline provider"));
  const auto stub = daemon.gateway();
  grpc::ClientContext context;
  daemon.authenticate(context);
  api::GetSessionRequest request;
  request.set_session_id(session_);
  api::Session session;
  ASSERT_TRUE(stub->GetSession(&context, request, &session).ok());
  EXPECT_EQ(session.turns(), 3u);
  EXPECT_EQ(daemon.stop(), 0);
}

TEST_F(SwapTest, AThirdPartyToolTakesThePlaceOfTheBuiltInOnesOnceItIsTrusted) {
  DaemonOptions options;
  options.plugin_paths = {build_dir() + "/tests/e2e-plugins"};
  Daemon daemon(options);
  ASSERT_TRUE(daemon.start()) << daemon.log();
  EXPECT_THAT(say(daemon, "/tools"), HasSubstr("fs.write"));
  ASSERT_EQ(daemon.stop(), 0);

  daemon.edit_config("use = \"dev.palyra.tools\"", "use = \"org.example.c-tool\"");
  ASSERT_TRUE(daemon.start()) << daemon.log();
  const Finished list = daemon.cli({"plugins", "list"});
  EXPECT_THAT(list.out, testing::ContainsRegex("tools .*quarantined: .*isolation = \"in_process\""))
      << "nobody said that it may run inside";
  ASSERT_EQ(daemon.stop(), 0);

  daemon.edit_config("use = \"org.example.c-tool\"",
                     "use = \"org.example.c-tool\"\nisolation = \"in_process\"\n"
                     "grant = { provides = [\"palyra.tool/1\"], requires = [] }");
  ASSERT_TRUE(daemon.start()) << daemon.log();
  const std::string tools = say(daemon, "/tools");
  EXPECT_THAT(tools, testing::AllOf(HasSubstr("text.count"), testing::Not(HasSubstr("fs.write"))));
  const Finished run =
      daemon.cli({"run", "--approve=all", "/tool text.count {\"text\": \"three small words\"}"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, testing::AllOf(HasSubstr("text.count"), HasSubstr("3")));
  EXPECT_EQ(daemon.stop(), 0);
}

TEST_F(SwapTest, OnePluginAsTwoInstancesWithDifferentScripts) {
  const TempDir files;
  const auto script = [&](const std::string& name) {
    return files.write(name + ".yaml",
                       "steps:\n  - when: {any: true}\n    text: I am " + name + ".\n");
  };
  DaemonOptions options;
  for (const char* name : {"anna", "bert"}) {
    options.extra += std::string("[plugins.") + name + "]\nuse = \"dev.palyra.embedded\"\n" +
                     "[plugins." + name + ".config]\nscript = \"" + script(name) + "\"\n";
  }
  Daemon daemon(options);
  ASSERT_TRUE(daemon.start()) << daemon.log();
  EXPECT_EQ(say(daemon, "who is it?", "anna/rules"), "I am anna.");
  EXPECT_EQ(say(daemon, "who is it?", "bert/rules"), "I am bert.");
  EXPECT_THAT(say(daemon, "who is it?"), HasSubstr("offline provider"));
  EXPECT_EQ(daemon.stop(), 0);
}

}  // namespace
}  // namespace palyra::e2e
