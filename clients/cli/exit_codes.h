// What `palyra` answers to scripts. sysexits(3) where it has a word for it; docs/cli.md lists them.
#pragma once

#include <grpcpp/support/status.h>

namespace palyra::cli {

enum ExitCode {
  kExitOk = 0,
  kExitRunFailed = 1,  // the run ended FAILED or CANCELLED; a check failed; a tape does not verify
  kExitUsage = 64,     // the command line is wrong
  kExitInvalid = 65,   // the daemon refused the input
  kExitNotFound = 66,  // no such session, run, approval ...
  kExitUnavailable = 69,  // no daemon, or it is stopping
  kExitInternal = 70,
  kExitCannotCreate = 73,  // a file could not be written
  kExitIo = 74,            // standard output could not be written
  kExitWaiting = 75,       // the run waits for an approval, or the limit of requests is reached
  // audit verify found records that do not verify; records are missing; an export or a backup lacks
  // archived files; a restore is done, but less than was asked for
  kExitDamaged = 76,
  kExitNoPermission = 77,  // token missing, refused, or without the scope
  kExitConfig = 78,        // palyra.toml cannot be found or read
  kExitTimeout = 124,      // the time of --timeout is over, as timeout(1) says it
  kExitInterrupted = 130,  // left by Ctrl-C
};

inline int exit_code(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return kExitOk;
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::ALREADY_EXISTS:
      return kExitInvalid;
    case grpc::StatusCode::NOT_FOUND:
      return kExitNotFound;
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return kExitUnavailable;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
    case grpc::StatusCode::ABORTED:
      return kExitWaiting;
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
      return kExitNoPermission;
    case grpc::StatusCode::DATA_LOSS:
      return kExitDamaged;
    case grpc::StatusCode::CANCELLED:
      return kExitInterrupted;
    default:
      return kExitInternal;
  }
}

}  // namespace palyra::cli
