// SPDX-License-Identifier: Apache-2.0
// A plugin file in this process.
#pragma once

#include "host/loader/catalogue.h"
#include "palyra/abi.h"

#include <memory>

namespace palyra::host {

// Keeps the file mapped while it lives.
class Library {
 public:
  virtual ~Library() = default;
  virtual const palyra_plugin& plugin() const = 0;
};

// Loads the file (all symbols bound now, none shared) and checks that its descriptor is what its
// manifest said. Runs the library's initialisers and its entry function. Errors name the file.
Result<std::shared_ptr<Library>> load(const FoundPlugin& found);

}  // namespace palyra::host
