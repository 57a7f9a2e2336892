#include "rbee/base/clock.hpp"

#include <chrono>
#include <cstddef>

namespace rbee {
namespace {

/// Takes tokens of fixed shape off the front of a text; once one does not fit, none does.
class Scanner {
public:
    explicit Scanner(std::string_view text) : left_(text) {}

    /// Exactly `count` decimal digits.
    int digits(std::size_t count) {
        int value = 0;
        if (left_.size() < count) {
            good_ = false;
            return 0;
        }
        for (const char digit : left_.substr(0, count)) {
            good_ = good_ && digit >= '0' && digit <= '9';
            value = value * 10 + (digit - '0');
        }
        left_.remove_prefix(count);
        return good_ ? value : 0;
    }

    void expect(std::string_view any_of) { good_ = accept(any_of) && good_; }

    bool accept(std::string_view any_of) {
        if (left_.empty() || !any_of.contains(left_.front())) {
            return false;
        }
        last_ = left_.front();
        left_.remove_prefix(1);
        return true;
    }

    /// The digits behind a decimal point, at least one, as nanoseconds.
    std::chrono::nanoseconds fraction() {
        std::int64_t value = 0;
        std::int64_t unit = 100'000'000;
        std::size_t count = 0;
        for (; accept("0123456789"); ++count) {
            value += (last_ - '0') * unit;
            unit /= 10;
        }
        good_ = good_ && count > 0;
        return std::chrono::nanoseconds(value);
    }

    [[nodiscard]] char last() const { return last_; }
    [[nodiscard]] bool done() const { return good_ && left_.empty(); }

private:
    std::string_view left_;
    char last_ = '\0';
    bool good_ = true;
};

} // namespace

std::optional<WallTime> parse_rfc3339(std::string_view text) {
    using std::chrono::hours;
    using std::chrono::minutes;
    using std::chrono::seconds;

    Scanner scanner(text);
    const int year = scanner.digits(4);
    scanner.expect("-");
    const int month = scanner.digits(2);
    scanner.expect("-");
    const int day = scanner.digits(2);
    scanner.expect("Tt ");
    const int hour = scanner.digits(2);
    scanner.expect(":");
    const int minute = scanner.digits(2);
    scanner.expect(":");
    const int second = scanner.digits(2);
    const auto fraction = scanner.accept(".") ? scanner.fraction() : std::chrono::nanoseconds(0);
    minutes offset(0);
    scanner.expect("Zz+-");
    if (const char zone = scanner.last(); zone == '+' || zone == '-') {
        const int offset_hour = scanner.digits(2);
        scanner.expect(":");
        const int offset_minute = scanner.digits(2);
        if (offset_hour > 23 || offset_minute > 59) {
            return std::nullopt;
        }
        offset = hours(offset_hour) + minutes(offset_minute);
        offset = zone == '-' ? -offset : offset;
    }
    const std::chrono::year_month_day date(
        std::chrono::year(year),
        std::chrono::month(static_cast<unsigned>(month)),
        std::chrono::day(static_cast<unsigned>(day))
    );
    // The clock counts nanoseconds in 64 bits and ends in the year 2262.
    const bool in_range = year >= 1678 && year <= 2261;
    if (!scanner.done() || !date.ok() || !in_range || hour > 23 || minute > 59 || second > 60) {
        return std::nullopt;
    }
    return std::chrono::sys_days(date) + hours(hour) + minutes(minute) + seconds(second) +
           std::chrono::duration_cast<WallTime::duration>(fraction) - offset;
}

} // namespace rbee
