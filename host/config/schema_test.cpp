// SPDX-License-Identifier: Apache-2.0
#include "host/config/schema.h"

#include <gtest/gtest.h>

namespace palyra::host {
namespace {

using nlohmann::json;

// All findings of `value`, one a line.
std::string findings(const char* schema, json value) {
  std::string text;
  for (const auto& finding : apply_schema(json::parse(schema), value)) {
    text += finding.pointer + ' ' + finding.message + '\n';
  }
  return text;
}

constexpr const char* kSchema = R"({
  "type": "object", "additionalProperties": false, "required": ["host"],
  "properties": {
    "host": {"type": "string", "minLength": 1, "pattern": "^[a-z.]+$"},
    "port": {"type": "integer", "minimum": 1, "maximum": 65535, "default": 7443},
    "mode": {"enum": ["fast", "safe"]},
    "key": {"type": "string", "x-palyra-secret": true},
    "limits": {"type": "object", "additionalProperties": false,
               "properties": {"runs": {"type": "integer", "default": 4}}},
    "rules": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/rule"}},
    "extra": {"type": "object", "additionalProperties": {"type": "number"}}
  },
  "$defs": {"rule": {"type": "object", "required": ["tool"], "additionalProperties": false,
            "properties": {"tool": {"type": "string"}, "ask": {"type": "boolean", "default": true}}}}
})";

TEST(Schema, GoodValuesGetTheirDefaults) {
  json value = {{"host", "a.b"}, {"rules", {{{"tool", "x"}}}}};
  EXPECT_TRUE(apply_schema(json::parse(kSchema), value).empty());
  EXPECT_EQ(value, json::parse(R"({"host": "a.b", "port": 7443, "limits": {"runs": 4},
                                   "rules": [{"tool": "x", "ask": true}]})"));
}

TEST(Schema, EveryMistakeIsFoundAtItsPlaceInWordsForPeople) {
  EXPECT_EQ(findings(kSchema, json::parse(R"({"prot": 1, "port": 70000, "mode": "sfae",
      "limits": 3, "rules": [{"tol": "x"}, 1, 2], "extra": {"a": "b"}})")),
            " 'host' is missing\n"
            "/extra/a must be a number, not a string\n"
            "/limits must be a table, not an integer\n"
            "/mode must be one of \"fast\", \"safe\"; did you mean 'safe'?\n"
            "/port must be at least 1 and at most 65535, not 70000\n"
            "/prot unknown key; did you mean 'port'?\n"
            "/rules must have at most 2 elements\n"
            "/rules/0 'tool' is missing\n"
            "/rules/0/tol unknown key; did you mean 'tool'?\n"
            "/rules/1 must be a table, not an integer\n"
            "/rules/2 must be a table, not an integer\n");
  EXPECT_EQ(findings(kSchema, {{"host", ""}}),
            "/host must not be empty\n/host does not have the form ^[a-z.]+$\n");
}

TEST(Schema, ALiteralSecretIsRefusedAndNotRepeated) {
  for (const json& key : {json("sk-123456"), json(42), json("env:"), json::array({"sk-1"})}) {
    const auto text = findings(kSchema, {{"host", "a"}, {"key", key}});
    EXPECT_NE(text.find("write \"env:NAME\" or \"file:PATH\" here"), std::string::npos);
    EXPECT_EQ(text.find("sk-1"), std::string::npos);
    EXPECT_EQ(without_secrets(json::parse(kSchema), {{"key", key}})["key"], "<refused>");
  }
  EXPECT_EQ(without_secrets(json::parse(kSchema), {{"kye", "sk-1"}})["kye"], "<refused>");
  for (const char* reference : {"env:KEY", "file:/k", "vault:a/b"}) {
    EXPECT_EQ(findings(kSchema, {{"host", "a"}, {"key", reference}}), "");
    EXPECT_EQ(without_secrets(json::parse(kSchema), {{"key", reference}})["key"], reference);
  }
}

TEST(Schema, OfSeveralChoicesTheClosestOneExplains) {
  constexpr const char* kChoice = R"({"anyOf": [
    {"type": "object", "additionalProperties": false, "properties": {"a": {"type": "integer"}}},
    {"type": "string"}]})";
  EXPECT_EQ(findings(kChoice, {{"a", 1}}), "");
  EXPECT_EQ(findings(kChoice, "x"), "");
  EXPECT_EQ(findings(kChoice, {{"a", "x"}}), "/a must be an integer, not a string\n");
}

TEST(Schema, KeywordsBeyondTheCommonOnesAreCheckedToo) {
  constexpr const char* kUnique = R"({"type": "object", "properties": {
    "hosts": {"type": "array", "uniqueItems": true},
    "n": {"type": "integer", "multipleOf": 5}}})";
  EXPECT_EQ(findings(kUnique, json::parse(R"({"hosts": ["a", "b"], "n": 10})")), "");
  EXPECT_NE(findings(kUnique, json::parse(R"({"hosts": ["a", "a"]})")), "");
  EXPECT_NE(findings(kUnique, json::parse(R"({"n": 7})")), "");
}

TEST(Schema, AHostileSchemaDoesNotHangOrCrash) {
  (void)findings(R"({"$ref": "#"})", 1);
  (void)findings(R"({"properties": {"a": {"$ref": "#"}}, "default": {}})", {{"a", {{"a", 1}}}});
  (void)findings(R"({"properties": 7, "required": 7, "items": 7, "enum": 7, "anyOf": 7})",
                 {{"a", 1}});
  (void)findings(R"({"type": "string", "pattern": "("})", "x");
  (void)findings(R"({"$ref": "http://example.com/x"})", 1);
  (void)findings(R"({"$ref": "#/no/where"})", 1);
  json deep;
  for (int i = 0; i < 500; ++i) deep = json::array({deep});
  (void)findings(R"({"items": {"$ref": "#"}})", deep);
}

}  // namespace
}  // namespace palyra::host
