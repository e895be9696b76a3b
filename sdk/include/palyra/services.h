/* SPDX-License-Identifier: Apache-2.0
 * The service contracts: ids and method numbers. Messages are those of
 * palyra/service/v1/<name>.proto; "unary" ends with one result, "stream" yields items and then one
 * result. */
#ifndef PALYRA_SERVICES_H
#define PALYRA_SERVICES_H

#define PALYRA_SERVICE_JOURNAL "palyra.journal/1" /* single */
enum {
  PALYRA_JOURNAL_COMMIT = 1,   /* unary CommitRequest -> CommitResponse */
  PALYRA_JOURNAL_READ = 2,     /* unary ReadRequest -> ReadResponse */
  PALYRA_JOURNAL_GET = 3,      /* unary GetRequest -> GetResponse */
  PALYRA_JOURNAL_QUERY = 4,    /* unary QueryRequest -> QueryResponse */
  PALYRA_JOURNAL_WATCH = 5,    /* stream WatchRequest -> WatchItem*, WatchResponse */
  PALYRA_JOURNAL_PUT_BLOB = 6, /* unary PutBlobRequest -> PutBlobResponse */
  PALYRA_JOURNAL_GET_BLOB = 7, /* unary GetBlobRequest -> GetBlobResponse */
  PALYRA_JOURNAL_DECLARE = 8,  /* unary DeclareRequest -> DeclareResponse */
  PALYRA_JOURNAL_VERIFY = 9,   /* unary VerifyRequest -> VerifyResponse */
  PALYRA_JOURNAL_INFO = 10,    /* unary InfoRequest -> InfoResponse */
  /* journal_audit.proto; the gateway only */
  PALYRA_JOURNAL_HEADS = 11,        /* unary HeadsRequest -> HeadsResponse */
  PALYRA_JOURNAL_VERIFY_STORE = 12, /* unary VerifyStoreRequest -> VerifyStoreResponse */
  PALYRA_JOURNAL_LIST_STREAMS = 13, /* unary ListStreamsRequest -> ListStreamsResponse */
  /* journal_upkeep.proto; the gateway only */
  PALYRA_JOURNAL_ERASE = 14,    /* unary EraseRecordsRequest -> CommitResponse */
  PALYRA_JOURNAL_ARCHIVE = 15,  /* unary ArchiveRequest -> ArchiveResponse */
  PALYRA_JOURNAL_MAINTAIN = 16, /* unary MaintainRequest -> MaintainResponse */
  /* journal_backup.proto; the gateway only */
  PALYRA_JOURNAL_BACKUP = 17, /* unary BackupRequest -> BackupResponse */
  PALYRA_JOURNAL_CHECK = 18   /* unary CheckRequest -> CheckResponse */
};

#define PALYRA_SERVICE_PROVIDER "palyra.provider/1" /* many */
enum {
  PALYRA_PROVIDER_LIST_MODELS = 1, /* unary ListModelsRequest -> ListModelsResponse */
  PALYRA_PROVIDER_CHAT = 2, /* stream ChatRequest -> ChatEvent*, ChatResult (or ChatFailure) */
  PALYRA_PROVIDER_COUNT_TOKENS = 3 /* unary CountTokensRequest -> CountTokensResponse */
};

#define PALYRA_SERVICE_TOOL "palyra.tool/1" /* many */
enum {
  PALYRA_TOOL_LIST = 1,   /* unary ListToolsRequest -> ListToolsResponse */
  PALYRA_TOOL_INVOKE = 2, /* stream InvokeRequest -> InvokeProgress*, InvokeResult */
  PALYRA_TOOL_VERIFY = 3  /* unary VerifyCallRequest -> VerifyCallResponse */
};

#endif /* PALYRA_SERVICES_H */
