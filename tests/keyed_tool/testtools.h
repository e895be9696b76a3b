// SPDX-License-Identifier: Apache-2.0
// test.keyed, test.opaque, test.slow, test.large, test.fail; README.md says what each is for.
#pragma once

#include "palyra/world.hpp"
#include "plugins/common/tool/tool.h"

#include <memory>
#include <string>
#include <vector>

namespace palyra::testtools {

// `directory` exists and outlives the daemon.
std::vector<std::shared_ptr<tool::Tool>> make_tools(const Clock& clock, Executor& executor,
                                                    std::string directory);

}  // namespace palyra::testtools
