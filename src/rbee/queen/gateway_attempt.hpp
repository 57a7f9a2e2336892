#pragma once

#include "rbee/api/deadlines.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/queen/gateway.hpp"
#include "rbee/queen/inference_job.hpp"

#include <string>

/// What the gateway knows of one request on its way; for its own files only.
namespace rbee::queen {

/// How one attempt ended.
struct Gateway::Attempt {
    enum class Next {
        done,
        wait_again, ///< Every slot was taken after all.
        repeat,     ///< No worker has seen it.
        retry,      ///< A worker may have begun with it, but nothing was answered.
    };
    Next next = Next::done;
    std::string outcome = "ok"; ///< For metrics and the log.
    Error error;                ///< What to answer if this was the last attempt.
};

/// One request on its way.
struct Gateway::Request {
    http::Exchange& exchange;
    InferenceJob job;
    api::RequestDeadline& deadline;
    int repeats = 0;
    std::string worker_id = {}; ///< That it was given to last.
    int attempts = 0;           ///< That failed when a worker may have begun.
};

/// What has stopped a request in the queen: its deadline, or what `error` says.
[[nodiscard]] Error stopped_by(const api::RequestDeadline& deadline, const Error& error);

} // namespace rbee::queen
