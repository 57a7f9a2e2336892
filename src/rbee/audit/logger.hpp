#pragma once

#include "rbee/audit/event.hpp"
#include "rbee/base/result.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

namespace rbee::audit {

/// When a record counts as written.
enum class Mode : std::uint8_t {
    off,    ///< No log.
    async,  ///< The kernel has it: survives `kill -9`; on the disk within a second.
    group,  ///< It is on the disk; one sync for all records of a few milliseconds.
    strict, ///< It is on the disk; synced at once, and every response waits for it.
};

[[nodiscard]] std::string_view to_string(Mode mode);
/// "off", "async", "group", "strict", and "local", which is group. Nothing for other texts.
[[nodiscard]] std::optional<Mode> parse_mode(std::string_view text);

/// What a caller does with the outcome of a record.
enum class Demand : std::uint8_t {
    nothing,  ///< Go on.
    told,     ///< Wait for the outcome before the response begins, then go on in any case.
    recorded, ///< Wait, and refuse with 503 AUDIT_UNAVAILABLE when there is no record.
};

/// Control is never without a record. Refusals stay what they are. Requests wait in `group`, are
/// refused in `strict`, and in any mode when `inference_fails_closed`.
[[nodiscard]] Demand demand_of(Mode mode, EventClass kind, bool inference_fails_closed);

/// What was counted since the start.
struct Stats {
    std::uint64_t recorded = 0;   ///< Records that are durable (async: with the kernel).
    std::uint64_t lost = 0;       ///< Events without a record; each is in a gap record in the end.
    std::uint64_t suppressed = 0; ///< Folded into one record with others of their source.
    std::uint64_t refused = 0;    ///< Recorded as refused: a field broke a rule.
    std::uint64_t syncs = 0;
    std::uint64_t waiting = 0; ///< In the queue now.
    bool failing = false;      ///< The last batch could not be written.
    bool stuck = false;        ///< The disk does not answer.
    bool full = false;         ///< The reserve is in use.
};

/// Where events go. Thread-safe. Off, a call site costs a load and a branch:
///
///     if (audit.on()) { audit.record(audit::make_event(audit::AuthSuccess{…})); }
class Logger {
public:
    /// The outcome of a record, once: durable as the mode promises, or an error with the wire code
    /// AUDIT_UNAVAILABLE. Called on another thread; must not block or throw.
    using Done = std::move_only_function<void(Result<void>)>;

    virtual ~Logger() = default;
    Logger(const Logger&) = delete;
    Logger& operator=(const Logger&) = delete;

    [[nodiscard]] bool on() const { return mode_ != Mode::off; }
    [[nodiscard]] Mode mode() const { return mode_; }
    /// What a caller must do about an event of this class.
    [[nodiscard]] Demand demand(EventClass kind) const {
        return demand_of(mode_, kind, inference_fails_closed_);
    }

    /// Records the event; what cannot be recorded is counted.
    void record(Event event) { submit(std::move(event), {}); }
    /// The same with the outcome; `done` may be empty. Never blocks.
    virtual void submit(Event event, Done done) = 0;
    [[nodiscard]] virtual Stats stats() const = 0;
    /// Records the end, makes everything durable and stops. Waits for at most 5 s; then the disk
    /// does not answer and what is open is reported as lost. Later events are lost.
    virtual void stop(std::string_view reason) = 0;

protected:
    explicit Logger(Mode mode, bool inference_fails_closed = false)
        : mode_(mode), inference_fails_closed_(inference_fails_closed) {}

private:
    const Mode mode_;
    const bool inference_fails_closed_;
};

/// No log: on() is false, and every event counts as recorded.
class NullLogger final : public Logger {
public:
    NullLogger() : Logger(Mode::off) {}
    void submit(Event /*event*/, Done done) override {
        if (done) {
            done({});
        }
    }
    [[nodiscard]] Stats stats() const override { return {}; }
    void stop(std::string_view /*reason*/) override {}
};

} // namespace rbee::audit
