#include "plugins/common/provider/failure.h"

#include <gtest/gtest.h>

namespace palyra::provider {
namespace {

TEST(Failure, EveryKindOfTheContractHasAName) {
  const auto* kinds = service::v1::FailureKind_descriptor();
  for (int i = 0; i < kinds->value_count(); ++i) {
    const auto kind = static_cast<service::v1::FailureKind>(kinds->value(i)->number());
    if (kind == service::v1::FAILURE_KIND_UNSPECIFIED) continue;
    EXPECT_EQ(failure_kind_from_name(failure_kind_name(kind)), kind) << kinds->value(i)->name();
  }
  EXPECT_FALSE(failure_kind_from_name("unspecified").has_value());
  EXPECT_FALSE(failure_kind_from_name("teapot").has_value());
}

TEST(Failure, SaysWhatMayBeRetried) {
  EXPECT_TRUE(failure_status(service::v1::FAILURE_KIND_RATE_LIMIT, "x").retryable());
  EXPECT_FALSE(failure_status(service::v1::FAILURE_KIND_QUOTA, "x").retryable());
  EXPECT_FALSE(failure_status(service::v1::FAILURE_KIND_AUTH, "x").retryable());
  EXPECT_FALSE(failure_status(service::v1::FAILURE_KIND_UNSPECIFIED, "x").ok());
}

}  // namespace
}  // namespace palyra::provider
