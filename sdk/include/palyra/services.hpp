// SPDX-License-Identifier: Apache-2.0
// All typed service contracts.
#pragma once

#include "palyra/services/journal.hpp"
#include "palyra/services/provider.hpp"
#include "palyra/services/tool.hpp"
