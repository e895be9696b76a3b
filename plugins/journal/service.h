// palyra.journal/1 over a store.
#pragma once

#include "palyra/raw_service.hpp"
#include "plugins/journal/confine.h"
#include "plugins/journal/keeper.h"
#include "plugins/journal/store.h"

#include <map>
#include <memory>
#include <mutex>

namespace palyra::journal {

// Calls arrive on any thread; they are parsed and confined to the caller's names there, and
// completed by the store's threads. Between open() and close(); outside they end UNAVAILABLE.
class JournalService : public RawService {
 public:
  explicit JournalService(Host host);

  // Without a keeper what needs one is UNIMPLEMENTED.
  void open(std::shared_ptr<Store> store, std::shared_ptr<Keeper> keeper = nullptr);
  // Calls that wait are completed by the store as it closes.
  void close();

 protected:
  Status start(const RawCall& call, Responder responder) override;
  void grant(palyra_handle op, uint32_t credits) override;
  void cancel(palyra_handle op) override;

 private:
  // Parses, lets `may` judge, then begins.
  template <typename M, typename May, typename Begin>
  Status with(const RawCall& call, const May& may, const Begin& begin);
  template <typename T>
  Done<T> completes(Responder responder) const;
  template <typename M, typename May, typename Work>
  Status keep(const RawCall& call, const May& may, Responder responder, Work work);
  Status watch(Store& store, const RawCall& call, Responder responder);
  std::shared_ptr<Watch> find(palyra_handle op);

  std::mutex mutex_;
  std::shared_ptr<Store> store_;
  std::shared_ptr<Keeper> keeper_;
  std::map<palyra_handle, std::shared_ptr<Watch>> watches_;
};

}  // namespace palyra::journal
