#pragma once

#include "rbee/base/boot_clock.hpp"
#include "rbee/base/cancel.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/domain/deadline.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/runtime/deadline_timers.hpp"
#include "rbee/telemetry/log.hpp"
#include "rbee/telemetry/metrics.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace rbee::api {

/// How far a request was when its time was over. Of an answer that is not streamed nobody sees the
/// first token, so `inference` stands for prefill and decode.
enum class Stage { arrived, queued, inference, prefill, decode };
[[nodiscard]] std::string_view to_string(Stage stage);

/// The deadline of one request in one program (behaviour.md 7): when it passes, the request is
/// cancelled with CancelReason::deadline, like every other reason to stop. Lives in the frame of
/// the request's handler; belongs to the loop.
class RequestDeadline {
public:
    RequestDeadline(
        runtime::DeadlineTimers& timers,
        domain::Deadline deadline,
        BootTime arrival,
        CancelSource& cancel
    );
    RequestDeadline(const RequestDeadline&) = delete;
    RequestDeadline& operator=(const RequestDeadline&) = delete;
    ~RequestDeadline() = default;

    /// For the error answer. Stage::decode means that the first token is there.
    void enter(Stage stage);
    /// A ready worker has been assigned: a default budget starts now, once.
    void assigned();
    /// The next hop decides from now on what becomes of the request: when what there is counts as
    /// the answer, its end must get through, so the cancel of this program comes a little later.
    void handed_over();
    /// What there is when the deadline passes counts as the answer (X-Deadline-Policy).
    [[nodiscard]] bool partial() const { return deadline_.partial; }
    /// Cancelled by the deadline, or about to be.
    [[nodiscard]] bool passed() const;
    /// The time runs: always, but for a default before there is a worker.
    [[nodiscard]] bool running() const { return !deadline_.defaulted || assigned_; }
    [[nodiscard]] const domain::Deadline& deadline() const { return deadline_; }
    [[nodiscard]] Stage stage() const { return stage_; }

    /// Until it passes; not below zero.
    [[nodiscard]] Duration left() const;

    /// X-Request-Deadline as it came and X-Request-Timeout-Ms with what is left, for the next hop.
    void forward(http::Headers& headers) const;
    /// What to tell the client: 504 REQUEST_TIMEOUT with stage, deadline, elapsed and exceeded ms.
    [[nodiscard]] Error error() const;

private:
    void arm();

    runtime::DeadlineTimers& timers_;
    domain::Deadline deadline_;
    BootTime arrival_;
    CancelSource& cancel_;
    Stage stage_ = Stage::arrived;
    bool assigned_ = false;
    bool handed_over_ = false;
    runtime::DeadlineTimers::Entry entry_;
};

/// Reads deadlines of requests, and counts what becomes of them. One for each program; belongs to
/// its loop; must outlive the deadlines it made.
class Deadlines {
public:
    struct Parts {
        runtime::DeadlineTimers& timers;
        const telemetry::Logger& log;
        telemetry::Metrics& metrics;
        std::string prefix; ///< Of the metrics: rbee_queen, rbee_hive or rbee_worker.
    };
    struct Policies {
        domain::DeadlinePolicy general;
        std::map<std::string, domain::DeadlinePolicy, std::less<>> by_model = {};
    };

    Deadlines(Parts parts, Policies policies);

    /// Others from now on, for requests to come.
    void set_policies(Policies policies) { policies_ = std::move(policies); }

    /// What the body says.
    struct Hints {
        std::string_view model;
        std::optional<std::int64_t> deadline_ms;
        bool stream = false;
    };
    /// The deadline of a request whose body has been read. Fails with Errc::invalid_argument on
    /// malformed fields and on a policy that the dialect cannot follow, and with REQUEST_TIMEOUT
    /// (504) when the time is over already.
    [[nodiscard]] Result<std::unique_ptr<RequestDeadline>>
    begin(http::Exchange& exchange, const Hints& hints);
    /// Counts a request that was ended by its deadline.
    void expired(const RequestDeadline& deadline);

private:
    struct Series;
    [[nodiscard]] const domain::DeadlinePolicy& policy_for(std::string_view model) const;
    void note(const http::Exchange& exchange, const domain::Deadline& deadline);

    runtime::DeadlineTimers& timers_;
    telemetry::Logger log_;
    Policies policies_;
    std::shared_ptr<Series> series_;
};

} // namespace rbee::api
