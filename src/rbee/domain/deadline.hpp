#pragma once

#include "rbee/base/boot_clock.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// How long a request may take, as one pure function of what the client sent, two clocks and the
/// settings (behaviour.md 7). Nothing here reads a clock.
namespace rbee::domain {

using std::chrono::milliseconds;

/// What a request says about time, unchecked. A field that came twice is there twice.
struct DeadlineFields {
    std::vector<std::string_view> absolute = {
    }; ///< X-Request-Deadline: RFC 3339, or ms since 1970.
    std::vector<std::string_view> relative = {}; ///< X-Request-Timeout-Ms.
    std::vector<std::string_view> stainless = {
    }; ///< X-Stainless-Timeout: seconds, from API clients.
    std::optional<std::int64_t> body_ms = {};  ///< `deadline_ms` of the body.
    std::vector<std::string_view> policy = {}; ///< X-Deadline-Policy: partial or strict.
    bool stream = false;                       ///< The answer is to be streamed.
};

/// One moment, the first byte of the head, on both clocks.
struct Arrival {
    BootTime boot;
    WallTime wall;
};

/// The settings; see docs/operations.md.
struct DeadlinePolicy {
    milliseconds whole{30'000};         ///< Default until an answer is complete.
    milliseconds first_token{30'000};   ///< Default until the first token of a stream.
    milliseconds stream_total{600'000}; ///< Default until a stream is complete.
    milliseconds cap{1'800'000};        ///< Nobody gets more.
    bool strict = false;                ///< Streams get `whole` in total, like anything else.
};

/// The largest cap that can be set.
inline constexpr milliseconds deadline_cap_max{86'400'000};

/// For a hop behind the queen, who decides what a request may have: only what would be absurd is
/// cut there.
[[nodiscard]] inline DeadlinePolicy inner_hop_policy() {
    return {.cap = deadline_cap_max};
}

/// What a request has got.
struct Deadline {
    BootTime due;                            ///< Complete by then.
    std::optional<BootTime> first_token_due; ///< First token by then, where that is earlier.
    bool defaulted = false;                  ///< The client said nothing.
    bool clamped = false;                    ///< The client wanted more than the cap.
    bool extension_refused = false; ///< A header would have gone past what another field allows.
    bool partial = false; ///< What there is when it passes counts as the answer, if there is any.
    bool skew_ignored = false;    ///< The absolute form was far off the relative one: not used.
    std::string forward_absolute; ///< X-Request-Deadline for the next hop, as it came or made.

    /// The same, counted from `start`: a default begins when a ready worker has been assigned. No
    /// effect on what a client asked for, nor when `start` is earlier than `arrival`.
    [[nodiscard]] Deadline started_at(BootTime start, BootTime arrival) const;
    /// The nearer of both limits.
    [[nodiscard]] BootTime next_due(bool first_token_seen) const;
};

/// The earliest of all that was given and of the cap; the default when nothing was. Already past is
/// not an error here: `due` is not after `arrival` then. Fails with Errc::invalid_argument and
/// INVALID_DEADLINE on a malformed, repeated or negative field; the message names the field and its
/// forms and never repeats the value. Thread-safe.
[[nodiscard]] Result<Deadline> effective_deadline(
    const DeadlineFields& fields, const Arrival& arrival, const DeadlinePolicy& policy
);

/// Value of X-Request-Timeout-Ms for the next hop: what is left less a stagger, so that the
/// innermost hop reports first, with the best cause. Never negative.
[[nodiscard]] milliseconds forward_timeout(BootTime due, BootTime now);

/// How much each hop keeps back.
inline constexpr milliseconds hop_stagger{5};

} // namespace rbee::domain
