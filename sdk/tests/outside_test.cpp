// The plugins of sdk_outside_build, loaded as a host loads them and called as the gateway calls
// them.
#include "palyra/client.hpp"
#include "palyra/json_codec.hpp"
#include "palyra/services.hpp"
#include "palyra/testing/direct_registry.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <dlfcn.h>

namespace palyra {
namespace {

namespace pb = service::v1;
using testing::DirectRegistry;
using testing::FakeHost;

// One loaded plugin with one running instance.
class Outside : public ::testing::Test {
 protected:
  void load(const std::string& name) {
    const char* directory = std::getenv("PALYRA_OUTSIDE_DIR");
    ASSERT_NE(directory, nullptr) << "run it through ctest";
    const std::string path = std::string(directory) + "/" + name + ".so";
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library_, nullptr) << dlerror();
    const auto entry =
        reinterpret_cast<palyra_plugin_entry_fn>(dlsym(library_, PALYRA_PLUGIN_ENTRY));
    ASSERT_NE(entry, nullptr);
    plugin_ = entry();
    EXPECT_EQ(plugin_->abi_major, PALYRA_ABI_MAJOR);
    EXPECT_NE(view(plugin_->manifest).find("\"org.example."), std::string::npos);
    palyra_error error = make_error();
    fake.set_registry(registry.table(name));
    ASSERT_EQ(plugin_->create(fake.abi(), &self_, &error), PALYRA_OK) << error.message;
    ASSERT_EQ(plugin_->init(self_, to_str("{}"), &error), PALYRA_OK) << error.message;
    ASSERT_EQ(plugin_->start(self_, &error), PALYRA_OK) << error.message;
    fake.set_registry(registry.table("caller"));
    caller = fake.host();
  }
  void TearDown() override {
    if (self_ != nullptr) {
      EXPECT_EQ(plugin_->drain(self_, PALYRA_NO_DEADLINE, nullptr), PALYRA_OK);
      plugin_->stop(self_);
      fake.executor.run_until_idle();
      plugin_->destroy(self_);
    }
    EXPECT_EQ(registry.faults(), 0);
    EXPECT_EQ(fake.live_buffers(), 0);
    if (library_ != nullptr) dlclose(library_);
  }
  // What a tool answers.
  Result<pb::InvokeResult> invoke(const std::string& instance, const std::string& tool,
                                  const std::string& arguments) {
    use_protobuf_json();
    std::optional<Result<pb::InvokeResult>> result;
    auto client = Client::acquire(caller, PALYRA_SERVICE_TOOL, instance);
    const auto story = [&]() -> Task<void> {
      pb::InvokeRequest request;
      request.set_name(tool);
      request.set_arguments_json(arguments);
      request.mutable_context()->add_workspace_roots("/tmp");
      auto call = client->stream(tool::kInvoke, request);
      result = co_await call.result();
    };
    caller.spawn(story());
    fake.executor.run_until_idle();
    return result ? std::move(*result) : Status(Code::kUnknown, "never completed");
  }

  FakeHost fake;
  DirectRegistry registry{fake.executor, Host(fake.abi()).buffers()};
  Host caller;

 private:
  void* library_ = nullptr;
  const palyra_plugin* plugin_ = nullptr;
  void* self_ = nullptr;
};

TEST_F(Outside, TheTemplateSaysHello) {
  load("my_plugin");
  EXPECT_TRUE(fake.logged("ready"));
  const auto result = invoke("my_plugin", "hello.say", "{}");
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  EXPECT_EQ(result->content(), "Hello.");
}

TEST_F(Outside, TheToolInCCountsAndRefusesInWords) {
  load("c_tool");
  const auto counted =
      invoke("c_tool", "text.count", R"({"x":[{"text":"]"}],"text":"h\u00e9llo\nw \ud83d\ude00"})");
  ASSERT_TRUE(counted.ok()) << counted.status().to_string();
  EXPECT_EQ(counted->content(), R"({"bytes":13,"characters":9,"words":3,"lines":2})");
  EXPECT_FALSE(counted->is_error());
  for (const char* wrong :
       {"{}", "", "[]", "{\"text\":1}", "{\"text\":\"\\ud800\"}", "{\"text\":\"", "{{{{"}) {
    const auto refused = invoke("c_tool", "text.count", wrong);
    ASSERT_TRUE(refused.ok()) << wrong;
    EXPECT_TRUE(refused->is_error()) << wrong;
  }
  EXPECT_EQ(invoke("c_tool", "text.shout", "{}").status().code(), Code::kNotFound);
}

TEST_F(Outside, TheProviderInCppEchoesAndFailsWithItsDetail) {
  load("cpp_provider");
  auto client = Client::acquire(caller, PALYRA_SERVICE_PROVIDER, "cpp_provider");
  std::string text;
  Status wrong;
  pb::ChatResult result;
  pb::ChatFailure failure;
  const auto story = [&]() -> Task<void> {
    pb::ChatRequest request;
    request.set_model("echo");
    request.set_max_output_tokens(3);
    auto* message = request.add_messages();
    message->set_role(pb::ROLE_USER);
    message->set_text("one two  three four");
    auto turn = client->stream(provider::kChat, request, {.window = 1});
    while (auto event = co_await turn.next()) text += event->text_delta();
    auto ended = co_await turn.result();
    if (ended.ok()) result = *ended;

    request.set_model("gpt");
    auto broken = client->stream(provider::kChat, request);
    wrong = (co_await broken.result()).status();
    EXPECT_TRUE(failure.ParseFromString(std::string(broken.failure_detail())));
  };
  caller.spawn(story());
  fake.executor.run_until_idle();
  EXPECT_EQ(text, "one two  three ");
  EXPECT_EQ(result.finish_reason(), pb::FINISH_REASON_LENGTH);
  EXPECT_EQ(result.usage().output_tokens(), 3);
  EXPECT_EQ(wrong.code(), Code::kNotFound);
  EXPECT_EQ(failure.kind(), pb::FAILURE_KIND_MODEL_NOT_FOUND);
}

}  // namespace
}  // namespace palyra
