// What a principal without the scope admin is refused, by the real daemon over its real transport.
#include "palyra/gateway/v1/audit.grpc.pb.h"
#include "palyra/gateway/v1/backup.grpc.pb.h"
#include "palyra/gateway/v1/storage.grpc.pb.h"
#include "palyra/store/v1/credential.pb.h"
#include "tests/e2e/daemon.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <openssl/sha.h>
#include <sqlite3.h>

#include <filesystem>

namespace palyra::e2e {
namespace {

constexpr char kGuest[] = "palyra_1111111111111111111111111111111111111111111111111111111111111111";
constexpr char kGuestId[] = "01JD0000000000000000000000";

// A daemon that knows a guest, who may run and read, and has a session of its owner.
class WithoutAdmin : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    daemon_ = new Daemon();
    ASSERT_TRUE(daemon_->start()) << daemon_->log();
    ASSERT_EQ(daemon_->cli({"run", "/echo mine"}).exit_code, 0);
    ASSERT_EQ(daemon_->stop(), 0);
    invite();
    ASSERT_TRUE(daemon_->start()) << daemon_->log();
    const auto runs = nlohmann::json::parse(daemon_->cli({"runs", "list", "-o", "json"}).out);
    run_ = runs[0]["run_id"];
    session_ = runs[0]["session_id"];
  }
  static void TearDownTestSuite() {
    EXPECT_EQ(daemon_->stop(), 0);
    delete daemon_;
  }
  // A credential as the gateway stores it.
  static void invite() {
    store::v1::Credential guest;
    guest.set_credential_id(kGuestId);
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(kGuest), sizeof kGuest - 1, hash);
    guest.set_token_hash(hash, sizeof hash);
    guest.set_principal("user:guest");
    for (const char* scope : {"runs.read", "runs.write", "approvals.decide"}) {
      guest.add_scopes(scope);
    }
    const std::string value = guest.SerializeAsString();
    sqlite3* db = nullptr;
    const std::string path = daemon_->state_dir() + "/journal/journal.sqlite";
    ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
    sqlite3_stmt* put = nullptr;
    ASSERT_EQ(sqlite3_prepare_v2(db,
                                 "INSERT INTO document(collection, key, version, entries, value) "
                                 "SELECT collection, CAST(? AS BLOB), 1, entries, ? FROM document "
                                 "WHERE collection='credentials' LIMIT 1",
                                 -1, &put, nullptr),
              SQLITE_OK)
        << sqlite3_errmsg(db);
    sqlite3_bind_text(put, 1, kGuestId, -1, SQLITE_STATIC);
    sqlite3_bind_blob(put, 2, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
    EXPECT_EQ(sqlite3_step(put), SQLITE_DONE) << sqlite3_errmsg(db);
    EXPECT_EQ(sqlite3_changes(db), 1);
    sqlite3_finalize(put);
    sqlite3_close(db);
  }

  static std::unique_ptr<grpc::ClientContext> as_guest() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->AddMetadata("authorization", std::string("Bearer ") + kGuest);
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
    return context;
  }
  template <typename Stub, typename Request, typename Response>
  static void expect_refused(Stub& stub,
                             grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                          Response*),
                             const Request& request = {}) {
    Response response;
    const grpc::Status status = (stub.*method)(as_guest().get(), request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << status.error_message();
    EXPECT_EQ(response.ByteSizeLong(), 0u);
  }
  template <typename Event, typename Stub, typename Request>
  static void expect_stream_refused(Stub& stub,
                                    std::unique_ptr<grpc::ClientReader<Event>> (Stub::*method)(
                                        grpc::ClientContext*, const Request&),
                                    const Request& request = {}) {
    const auto context = as_guest();
    const auto stream = (stub.*method)(context.get(), request);
    Event event;
    EXPECT_FALSE(stream->Read(&event)) << event.ShortDebugString();
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << status.error_message();
  }

  static inline Daemon* daemon_ = nullptr;
  static inline std::string run_, session_;
};

TEST_F(WithoutAdmin, TheGuestIsKnownAndMayReadItsOwn) {
  api::ListRunsResponse response;
  const grpc::Status status = daemon_->gateway()->ListRuns(as_guest().get(), {}, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.runs_size(), 0) << "and nobody else's";
}

TEST_F(WithoutAdmin, NobodyCarriesTheWholeStoreAwayAsABackup) {
  using Stub = api::BackupService::Stub;
  ASSERT_EQ(daemon_->cli({"backup", "create", "--name", "owners"}).exit_code, 0);
  const auto stub = api::BackupService::NewStub(daemon_->channel());
  api::CreateBackupRequest create;
  create.set_name("guests");
  expect_refused<Stub>(*stub, &Stub::CreateBackup, create);
  expect_refused<Stub>(*stub, &Stub::ListBackups);
  api::DownloadBackupRequest download;
  download.set_name("owners");
  expect_stream_refused<api::BackupChunk, Stub>(*stub, &Stub::DownloadBackup, download);
  EXPECT_FALSE(std::filesystem::exists(daemon_->state_dir() + "/journal/backups/guests.sqlite"));
}

TEST_F(WithoutAdmin, NobodyReadsOthersThroughAnAuditExport) {
  using Stub = api::AuditService::Stub;
  const auto stub = api::AuditService::NewStub(daemon_->channel());
  expect_stream_refused<api::ExportAuditChunk, Stub>(*stub, &Stub::ExportAudit);
  api::ExportAuditRequest mine;
  mine.set_principal("user:guest");
  expect_stream_refused<api::ExportAuditChunk, Stub>(*stub, &Stub::ExportAudit, mine);
  expect_stream_refused<api::VerifyStoreEvent, Stub>(*stub, &Stub::VerifyStore);
  expect_refused<Stub>(*stub, &Stub::GetWitness);
  expect_refused<Stub>(*stub, &Stub::GetAuditKey);
}

TEST_F(WithoutAdmin, NobodyErasesWhatOthersSaidOrArchivesTheStore) {
  using Stub = api::StorageService::Stub;
  const auto stub = api::StorageService::NewStub(daemon_->channel());
  api::EraseSessionRequest session;
  session.set_session_id(session_);
  session.set_reason("because");
  expect_refused<Stub>(*stub, &Stub::EraseSession, session);
  api::EraseRunRequest run;
  run.set_run_id(run_);
  run.set_reason("because");
  expect_refused<Stub>(*stub, &Stub::EraseRun, run);
  expect_refused<Stub>(*stub, &Stub::ArchiveSessions);
  expect_refused<Stub>(*stub, &Stub::Vacuum);
  expect_refused<Stub>(*stub, &Stub::GetStorage);
  EXPECT_NE(daemon_->cli({"tape", "show", "--full", run_}).out.find("mine"), std::string::npos);
}

}  // namespace
}  // namespace palyra::e2e
