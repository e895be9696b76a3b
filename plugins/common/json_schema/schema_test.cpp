// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/json_schema/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace palyra::json_schema {
namespace {

using testing::HasSubstr;
using testing::Not;

Schema schema(std::string_view text) {
  Result<Schema> parsed = Schema::parse(text);
  EXPECT_TRUE(parsed.ok()) << parsed.status().to_string();
  return std::move(*parsed);
}

std::string refusal(std::string_view schema_text) {
  Result<Schema> parsed = Schema::parse(schema_text);
  EXPECT_FALSE(parsed.ok()) << schema_text;
  return parsed.ok() ? "" : parsed.status().message();
}

constexpr std::string_view kRead = R"({
  "type": "object",
  "properties": {
    "path": {"type": "string", "minLength": 1},
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
    "mode": {"enum": ["text", "binary"]},
    "tags": {"type": "array", "items": {"type": "string"}}
  },
  "required": ["path"],
  "additionalProperties": false
})";

TEST(SchemaTest, AcceptsWhatFits) {
  const Schema read = schema(kRead);
  EXPECT_TRUE(read.validate(R"({"path": "a.txt", "limit": 7, "tags": ["x"]})").ok());
  EXPECT_TRUE(schema("").validate(R"([1, {"anything": null}])").ok());
}

TEST(SchemaTest, NamesThePlaceAndWhatWasExpectedThere) {
  const Schema read = schema(kRead);
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "the root: missing required property 'path'"},
      {R"({"path": 7})", "/path: expected string, got integer"},
      {R"({"path": "a", "limit": "7"})", "/limit: expected integer, got string"},
      {R"({"path": "a", "limit": 0})", "/limit: expected at least 1"},
      {R"({"path": "a", "limit": 1001})", "/limit: expected at most 1000"},
      {R"({"path": "a", "mode": "x"})", "/mode: expected one of \"text\", \"binary\""},
      {R"({"path": "a", "tags": ["b", 3]})", "/tags/1: expected string, got integer"},
      {R"({"path": "a", "file": 1})", "unknown property 'file'; known are limit, mode, path, tags"},
      {R"([])", "the root: expected object, got array"},
  };
  for (const auto& [document, message] : cases) {
    const Status status = read.validate(document);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << document;
    EXPECT_THAT(status.message(), HasSubstr(message)) << document;
  }
}

TEST(SchemaTest, ReportsSeveralProblemsAndSaysHowManyMore) {
  const Schema numbers = schema(R"({"type": "array", "items": {"type": "integer"}})");
  const Status status = numbers.validate(R"(["a", "b", "c", "d", "e"])");
  EXPECT_THAT(status.message(), HasSubstr("/0: expected integer, got string; /1:"));
  EXPECT_THAT(status.message(), HasSubstr("and 2 more"));
}

TEST(SchemaTest, EscapesNamesInPointers) {
  const Schema odd = schema(R"({"properties": {"a/b~c": {"type": "string"}}})");
  EXPECT_THAT(odd.validate(R"({"a/b~c": 1})").message(), HasSubstr("/a~1b~0c: expected string"));
}

TEST(SchemaTest, FollowsLocalReferencesAlsoRecursiveOnes) {
  const Schema tree = schema(R"({
    "definitions": {"node": {"type": "object", "properties": {
      "name": {"type": "string"},
      "children": {"type": "array", "items": {"$ref": "#/definitions/node"}}}}},
    "$ref": "#/definitions/node"})");
  EXPECT_TRUE(tree.validate(R"({"name": "a", "children": [{"name": "b"}]})").ok());
  EXPECT_THAT(tree.validate(R"({"children": [{"name": 3}]})").message(),
              HasSubstr("/children/0/name: expected string, got integer"));
}

TEST(SchemaTest, RefusesSchemasThatCannotBeUsed) {
  EXPECT_THAT(refusal("nonsense"), HasSubstr("not valid JSON at byte"));
  EXPECT_THAT(refusal("[]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(refusal(R"({"properties": 3})"), HasSubstr("the schema"));
  EXPECT_THAT(refusal(R"({"$ref": "#/definitions/none"})"), HasSubstr("does not contain"));
  EXPECT_THAT(refusal(R"({"pattern": "("})"), HasSubstr("not a regular expression"));
}

TEST(SchemaTest, ReferencesCannotReachTheNetworkOrFiles) {
  for (const char* target : {"http://evil.example/s.json", "file:///etc/passwd", "other.json"}) {
    const std::string text = std::string(R"({"properties": {"a": {"$ref": ")") + target + "\"}}}";
    EXPECT_THAT(refusal(text), HasSubstr("outside itself"));
  }
}

TEST(SchemaTest, EndlessReferencesCannotExhaustTheStack) {
  EXPECT_THAT(refusal(R"({"$ref": "#"})"), HasSubstr("without end"));
  EXPECT_THAT(refusal(R"({"allOf": [{"$ref": "#"}]})"), HasSubstr("without end"));
  EXPECT_THAT(refusal(R"({"definitions": {
      "a": {"anyOf": [{"type": "string"}, {"$ref": "#/definitions/b"}]},
      "b": {"not": {"$ref": "#/definitions/a"}}},
      "$ref": "#/definitions/a"})"),
              HasSubstr("without end"));
}

TEST(SchemaTest, DeepDocumentsCannotExhaustTheStack) {
  const Schema any = schema(R"({"items": {"$ref": "#"}})");
  const std::string fits = std::string(128, '[') + std::string(128, ']');
  EXPECT_TRUE(any.validate(fits).ok());
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  EXPECT_EQ(any.validate(deep).code(), Code::kResourceExhausted);
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += R"({"a":)";
  EXPECT_EQ(any.validate(objects).code(), Code::kResourceExhausted);
  EXPECT_FALSE(Schema::parse(std::string(R"({"not":)") + deep + "}").ok());
}

TEST(SchemaTest, GiantDocumentsAreRefusedBeforeParsing) {
  const Status status = schema("{}").validate("\"" + std::string(100, 'x') + "\"", {64, 8});
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("the limit is 64"));
}

TEST(SchemaTest, BracketsInStringsDoNotCountAsDepth) {
  const std::string text = "\"" + std::string(1000, '[') + R"(\"[[[\\")";
  EXPECT_TRUE(schema("{}").validate(text).ok());
}

TEST(SchemaTest, BadJsonIsNamedByItsByteAndNeverQuoted) {
  const Status status = schema("{}").validate(R"({"password": hunter2})");
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("at byte 14"));
  EXPECT_THAT(status.message(), Not(HasSubstr("hunter2")));
  EXPECT_FALSE(schema("{}").validate("\"\xff\xfe\"").ok());
  EXPECT_FALSE(schema("{}").validate("").ok());
}

TEST(SchemaTest, LongStringsBesideAPatternAreFineButNotUnderIt) {
  const Schema write = schema(R"({"properties": {
      "path": {"type": "string", "pattern": "^[a-z./]+$"}, "content": {"type": "string"}}})");
  const auto document = [](const std::string& path, const std::string& content) {
    return nlohmann::json{{"path", path}, {"content", content}};
  };
  const std::string long_text(1'000'000, 'a');
  EXPECT_TRUE(write.validate_value(document("a.txt", long_text)).ok());
  EXPECT_THAT(write.validate_value(document("A", long_text)).message(),
              HasSubstr("/path: expected a string that matches \"^[a-z./]+$\""));
  EXPECT_FALSE(write.validate_value(document(long_text, "x")).ok());
}

}  // namespace
}  // namespace palyra::json_schema
