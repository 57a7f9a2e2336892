#include "rbee/domain/deadline.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace rbee::domain {
namespace {

using Ms = std::optional<milliseconds>;

constexpr std::size_t rfc3339_bytes_max = 40;
/// Fewer digits are seconds, or a relative value, sent by mistake.
constexpr std::size_t absolute_digits_min = 12;
constexpr std::size_t absolute_digits_max = 15;
constexpr std::size_t relative_digits_max = 9;
constexpr milliseconds skew_max{1'000};

std::unexpected<Error> malformed(std::string_view field, std::string_view wanted) {
    return fail(
        Errc::invalid_argument,
        std::string(field) + " must be " + std::string(wanted),
        "INVALID_DEADLINE"
    );
}

bool all_digits(std::string_view text) {
    return !text.empty() &&
           std::ranges::all_of(text, [](char one) { return one >= '0' && one <= '9'; });
}

/// Of a text that is all digits and short enough.
std::int64_t to_number(std::string_view digits) {
    std::int64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
}

/// Milliseconds from `now` to the absolute instant; negative when it has passed.
Result<Ms> read_absolute(const std::vector<std::string_view>& values, WallTime now) {
    constexpr std::string_view wanted =
        "given once, as RFC 3339 time with a zone or as milliseconds since 1970";
    if (values.empty()) {
        return Ms();
    }
    const std::string_view value = values.front();
    if (values.size() > 1 || value.size() > rfc3339_bytes_max) {
        return malformed("X-Request-Deadline", wanted);
    }
    if (all_digits(value)) {
        if (value.size() < absolute_digits_min || value.size() > absolute_digits_max) {
            return malformed("X-Request-Deadline", wanted);
        }
        return Ms(milliseconds(to_number(value) - to_unix_ms(now)));
    }
    const auto time = parse_rfc3339(value);
    if (!time) {
        return malformed("X-Request-Deadline", wanted);
    }
    return Ms(milliseconds(to_unix_ms(*time) - to_unix_ms(now)));
}

Result<Ms> read_relative(const std::vector<std::string_view>& values) {
    if (values.empty()) {
        return Ms();
    }
    const std::string_view value = values.front();
    if (values.size() > 1 || !all_digits(value) || value.size() > relative_digits_max) {
        return malformed("X-Request-Timeout-Ms", "given once, as a whole number of milliseconds");
    }
    return Ms(milliseconds(to_number(value)));
}

/// Clients cut their timeout down to whole seconds, so one of 0.9 s arrives as "0" and must not
/// count as already past: a whole number means "less than one more".
Result<Ms> read_stainless(const std::vector<std::string_view>& values) {
    if (values.empty()) {
        return Ms();
    }
    const std::string_view value = values.front();
    const std::size_t point = std::min(value.find('.'), value.size());
    const std::string_view whole = value.substr(0, point);
    const std::string_view rest = value.substr(std::min(point + 1, value.size()));
    const bool fraction = point < value.size();
    if (values.size() > 1 || !all_digits(whole) || whole.size() > relative_digits_max ||
        (fraction && (!all_digits(rest) || rest.size() > relative_digits_max))) {
        return malformed("X-Stainless-Timeout", "given once, as a number of seconds");
    }
    const std::int64_t seconds = to_number(whole);
    if (!fraction) {
        return Ms(milliseconds(std::max<std::int64_t>(seconds, 1) * 1000));
    }
    std::string thousandths(rest.substr(0, 3));
    thousandths.resize(3, '0');
    return Ms(milliseconds(seconds * 1000 + to_number(thousandths)));
}

/// True for "partial".
Result<bool> read_policy(const std::vector<std::string_view>& values) {
    const std::string_view value = values.empty() ? "strict" : values.front();
    if (values.size() > 1 || (value != "partial" && value != "strict")) {
        return malformed("X-Deadline-Policy", "given once, as partial or strict");
    }
    return value == "partial";
}

Result<Ms> read_body(const std::optional<std::int64_t>& value) {
    if (!value) {
        return Ms();
    }
    if (*value < 0) {
        return malformed("deadline_ms", "a number of milliseconds, not below 0");
    }
    // Beyond any cap, and small enough to count with.
    return Ms(milliseconds(std::min<std::int64_t>(*value, 1'000'000'000'000)));
}

/// The absolute form beside a relative one only brings in what clocks disagree about: it may make
/// the budget a little shorter, never longer, and is not believed when it is far off.
enum class AbsoluteUse { shortens, later, skewed };

AbsoluteUse judge(milliseconds absolute, milliseconds relative) {
    if (absolute >= relative) {
        return AbsoluteUse::later;
    }
    return relative - absolute <= std::min(skew_max, relative / 4) ? AbsoluteUse::shortens
                                                                   : AbsoluteUse::skewed;
}

/// What a client asked for, all forms together.
struct Asked {
    Ms headers; ///< X-Request-Deadline and X-Request-Timeout-Ms.
    Ms others;  ///< X-Stainless-Timeout and deadline_ms.
    Ms body;
    bool skewed = false;
};

Result<Asked> read_all(const DeadlineFields& fields, WallTime now) {
    const auto absolute = read_absolute(fields.absolute, now);
    const auto relative = read_relative(fields.relative);
    const auto stainless = read_stainless(fields.stainless);
    const auto body = read_body(fields.body_ms);
    for (const auto* one : {&absolute, &relative, &stainless, &body}) {
        if (!*one) {
            return error_of(*one);
        }
    }
    Asked asked{.headers = *relative, .others = *stainless, .body = *body, .skewed = false};
    if (const Ms& at = *absolute) {
        const AbsoluteUse use =
            relative->has_value() ? judge(*at, relative->value_or(*at)) : AbsoluteUse::shortens;
        asked.skewed = use == AbsoluteUse::skewed;
        if (use == AbsoluteUse::shortens) {
            asked.headers = at;
        }
    }
    if (asked.body && (!asked.others || *asked.body < *asked.others)) {
        asked.others = asked.body;
    }
    return asked;
}

BootTime after(BootTime start, milliseconds wait) {
    return start + std::chrono::duration_cast<BootClock::duration>(wait);
}

std::string absolute_text(const DeadlineFields& fields, WallTime arrival, milliseconds budget) {
    return fields.absolute.empty() ? to_rfc3339(arrival + budget)
                                   : std::string(fields.absolute.front());
}

} // namespace

Result<Deadline> effective_deadline(
    const DeadlineFields& fields, const Arrival& arrival, const DeadlinePolicy& policy
) {
    const auto asked = read_all(fields, arrival.wall);
    if (!asked) {
        return error_of(asked);
    }
    const auto partial = read_policy(fields.policy);
    if (!partial) {
        return error_of(partial);
    }
    Deadline deadline;
    deadline.partial = *partial;
    deadline.skew_ignored = asked->skewed;
    milliseconds budget{};
    if (!asked->headers && !asked->others) {
        deadline.defaulted = true;
        const bool two_limits = fields.stream && !policy.strict;
        budget = two_limits ? policy.stream_total : policy.whole;
        if (two_limits && policy.first_token < budget) {
            deadline.first_token_due =
                after(arrival.boot, std::min(policy.first_token, policy.cap));
        }
    } else {
        budget = asked->headers.value_or(milliseconds::max());
        deadline.extension_refused =
            asked->body && asked->headers.value_or(milliseconds::min()) > asked->body;
        budget = std::min(budget, asked->others.value_or(milliseconds::max()));
        deadline.clamped = budget > policy.cap;
    }
    budget = std::min(budget, policy.cap);
    // Further back changes nothing and must not leave the range of the clock.
    budget = std::max(budget, -policy.cap);
    deadline.due = after(arrival.boot, budget);
    deadline.forward_absolute = absolute_text(fields, arrival.wall, budget);
    return deadline;
}

Deadline Deadline::started_at(BootTime start, BootTime arrival) const {
    Deadline moved = *this;
    if (defaulted && start > arrival) {
        moved.due += start - arrival;
        if (moved.first_token_due) {
            *moved.first_token_due += start - arrival;
        }
    }
    return moved;
}

BootTime Deadline::next_due(bool first_token_seen) const {
    return first_token_due && !first_token_seen ? std::min(*first_token_due, due) : due;
}

milliseconds forward_timeout(BootTime due, BootTime now) {
    const auto left = std::chrono::floor<milliseconds>(due - now) - hop_stagger;
    return std::max(left, milliseconds(0));
}

} // namespace rbee::domain
