// What a session keeps word for word, and what it shows as a summary.
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/gateway/session/validate.h"

#include <utility>

namespace palyra::gateway {

Task<Result<GatewayImpl::Edit>> GatewayImpl::pinned(std::shared_ptr<Session> session,
                                                    tape::FactPinned* pin) {
  Edit edit;
  edit.doc = session->doc();
  auto view = co_await session->view();
  if (!view.ok()) co_return view.status();
  size_t bytes = pin->text().size();
  for (const auto& known : view->pins()) {
    if (known.text() == pin->text()) {
      *pin = known;
      co_return edit;
    }
    bytes += known.text().size();
  }
  if (view->pins_size() >= kMostPins || bytes > kPinsBytes) {
    co_return Status(Code::kFailedPrecondition,
                     "session " + session->id() + " holds " + std::to_string(view->pins_size()) +
                         " pinned facts; at most 64 and 16 KiB in all, so unpin one first");
  }
  *edit.event.mutable_fact_pinned() = *pin;
  fold_view(*view, edit.event);
  const Status status = co_await store_pins(environment_.world.journal, &*view);
  if (!status.ok()) co_return status;
  edit.view = std::move(*view);
  co_return edit;
}

Task<Result<tape::FactPinned>> GatewayImpl::pin_fact(Caller caller, api::PinFactRequest request) {
  const Status status = check_text("text", request.text(), 1, kPinBytes);
  if (!status.ok()) co_return status;
  const auto pin = std::make_shared<tape::FactPinned>();
  pin->set_pin_id(environment_.world.ids.ulid());
  pin->set_text(request.text());
  pin->set_principal(caller.principal);
  Editor editor = [this, pin](std::shared_ptr<Session> session) {
    return pinned(std::move(session), pin.get());
  };
  auto edited = co_await edit_session(std::move(caller), request.session_id(), std::move(editor));
  if (!edited.ok()) co_return edited.status();
  co_return *pin;
}

Task<Result<GatewayImpl::Edit>> GatewayImpl::unpinned(std::shared_ptr<Session> session,
                                                      std::string pin_id, std::string principal) {
  Edit edit;
  edit.doc = session->doc();
  auto view = co_await session->view();
  if (!view.ok()) co_return view.status();
  edit.event.mutable_fact_unpinned()->set_pin_id(pin_id);
  edit.event.mutable_fact_unpinned()->set_principal(principal);
  if (!fold_view(*view, edit.event)) {
    co_return Status(Code::kNotFound, "session " + session->id() + " has no pinned fact " + pin_id +
                                          "; see: palyra sessions pins " + session->id());
  }
  const Status status = co_await store_pins(environment_.world.journal, &*view);
  if (!status.ok()) co_return status;
  edit.view = std::move(*view);
  co_return edit;
}

Task<Result<api::Session>> GatewayImpl::unpin_fact(Caller caller, api::UnpinFactRequest request) {
  const Status status = check_ulid("pin_id", request.pin_id());
  if (!status.ok()) co_return status;
  const std::string pin_id = request.pin_id();
  const std::string principal = caller.principal;
  Editor editor = [this, pin_id, principal](std::shared_ptr<Session> session) {
    return unpinned(std::move(session), pin_id, principal);
  };
  co_return co_await edit_session(std::move(caller), request.session_id(), std::move(editor));
}

Task<Result<api::ListPinsResponse>> GatewayImpl::list_pins(Caller caller,
                                                           api::ListPinsRequest request) {
  const Status status = check_ulid("session_id", request.session_id());
  if (!status.ok()) co_return status;
  auto session = co_await open_session(std::move(caller), request.session_id());
  if (!session.ok()) co_return session.status();
  auto view = co_await (*session)->view();
  if (!view.ok()) co_return view.status();
  api::ListPinsResponse out;
  *out.mutable_pins() = std::move(*view->mutable_pins());
  co_return out;
}

Task<Result<api::CompactSessionResponse>> GatewayImpl::compact_session(
    Caller caller, api::CompactSessionRequest request) {
  const Status status = check_ulid("session_id", request.session_id());
  if (!status.ok()) co_return status;
  Input input;
  input.origin = caller.surface;
  input.caller = std::move(caller);
  input.session_id = request.session_id();
  input.model = request.model();
  input.idempotency_key = request.idempotency_key();
  input.purpose = tape::RUN_PURPOSE_COMPACT;
  // It joins no other run.
  input.queue_mode = tape::QUEUE_MODE_FOLLOW_UP;
  auto accepted = co_await accept(std::move(input));
  if (!accepted.ok()) co_return accepted.status();
  api::CompactSessionResponse out;
  out.set_session_id(accepted->session_id);
  out.set_run_id(accepted->run_id);
  co_return out;
}

Task<Result<GatewayImpl::Edit>> GatewayImpl::expanded(std::shared_ptr<Session> session) {
  Edit edit;
  edit.doc = session->doc();
  auto view = co_await session->view();
  if (!view.ok()) co_return view.status();
  if (view->compactions().empty()) co_return edit;
  edit.event.mutable_compacted();
  fold_view(*view, edit.event);
  edit.doc.set_compacted_seq(0);
  edit.view = std::move(*view);
  co_return edit;
}

Task<Result<api::Session>> GatewayImpl::expand_session(Caller caller,
                                                       api::ExpandSessionRequest request) {
  Editor editor = [this](std::shared_ptr<Session> session) { return expanded(std::move(session)); };
  co_return co_await edit_session(std::move(caller), request.session_id(), std::move(editor));
}

}  // namespace palyra::gateway
