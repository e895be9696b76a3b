// SPDX-License-Identifier: Apache-2.0
// The tools that come with Palyra, one function each; the class behind it is in the file of its
// name.
#pragma once

#include "palyra/world.hpp"
#include "plugins/common/tool/tool.h"
#include "plugins/tools/config.h"

#include <memory>

namespace palyra::tools {

std::shared_ptr<tool::Tool> make_time_now(const Clock& clock);
std::shared_ptr<tool::Tool> make_fs_read(Executor& executor, const Config& config);
std::shared_ptr<tool::Tool> make_fs_list(Executor& executor);
// The clock is read on the pool.
std::shared_ptr<tool::Tool> make_fs_search(Executor& executor, const Clock& clock,
                                           const Config& config);
std::shared_ptr<tool::Tool> make_fs_write(Executor& executor, const Config& config);

}  // namespace palyra::tools
