#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/telemetry/log_capture.hpp"

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace rbee::telemetry {

enum class Level { trace, debug, info, warn, error, off };

/// The level in lower case.
[[nodiscard]] std::string_view to_string(Level level);
/// Reads what to_string() writes.
[[nodiscard]] std::optional<Level> parse_level(std::string_view text);

/// How lines look: one JSON object each, or text for a person at a terminal.
enum class Format { json, pretty };

/// How and how much a program logs.
struct LogStyle {
    Format format = Format::json;
    Level level = Level::info;
};

/// The style that settings ask for (LLORCH_LOG_FORMAT, LLORCH_LOG_LEVEL). An empty text means the
/// default: text for people on a terminal, else JSON; level info. Errc::invalid_argument names what
/// is allowed.
[[nodiscard]] Result<LogStyle>
parse_log_style(std::string_view format, std::string_view level, bool terminal);

/// One key with its value. Views what it is given: build it only inside the call that logs it.
class Field {
public:
    using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;

    template <typename T>
    Field(std::string_view key, const T& value) : key_(key), value_(as_value(value)) {}

    [[nodiscard]] std::string_view key() const { return key_; }
    [[nodiscard]] const Value& value() const { return value_; }

private:
    template <typename T>
    static Value as_value(const T& value) {
        if constexpr (std::same_as<T, bool>) {
            return value;
        } else if constexpr (std::signed_integral<T>) {
            return static_cast<std::int64_t>(value);
        } else if constexpr (std::unsigned_integral<T>) {
            return static_cast<std::uint64_t>(value);
        } else if constexpr (std::floating_point<T>) {
            return static_cast<double>(value);
        } else {
            return std::string_view(value);
        }
    }

    std::string_view key_;
    Value value_;
};

/// Writes structured log lines. Made once per program and passed by reference; copies and children
/// are cheap and share the sink and the level. Every text passes redact(). Thread-safe. A line that
/// cannot be written is dropped; logging never fails the caller.
///
///     log.info("worker_ready", "worker is ready", {{"worker_id", id}, {"slots", 4}});
class Logger {
public:
    using Fields = std::initializer_list<Field>;

    struct Options {
        std::string component; ///< The program's name, such as "queen-rbee".
        Format format = Format::json;
        Level level = Level::info;
        std::string path = {}; ///< Append here (created 0600) instead of stderr.
        std::shared_ptr<LogCapture> capture = nullptr; ///< Keep lines here instead; for tests.
        const Clock* clock = nullptr; ///< Must outlive the logger; the system's when null.
    };

    /// Errc::io when the file cannot be opened.
    [[nodiscard]] static Result<Logger> open(Options options);
    /// Writes nowhere.
    [[nodiscard]] static Logger silent();

    /// The same logger with a correlation_id in each line.
    [[nodiscard]] Logger with_correlation(std::string id) const;

    /// `event` is a stable name in snake case for machines, `message` a sentence for people.
    void
    write(Level level, std::string_view event, std::string_view message, Fields fields = {}) const;

    void trace(std::string_view event, std::string_view message, Fields fields = {}) const {
        write(Level::trace, event, message, fields);
    }
    void debug(std::string_view event, std::string_view message, Fields fields = {}) const {
        write(Level::debug, event, message, fields);
    }
    void info(std::string_view event, std::string_view message, Fields fields = {}) const {
        write(Level::info, event, message, fields);
    }
    void warn(std::string_view event, std::string_view message, Fields fields = {}) const {
        write(Level::warn, event, message, fields);
    }
    void error(std::string_view event, std::string_view message, Fields fields = {}) const {
        write(Level::error, event, message, fields);
    }

    [[nodiscard]] bool enabled(Level level) const;
    /// Takes effect at once for this logger and all that share its sink.
    void set_level(Level level);
    /// Lines below a warning may wait until `later` has run what it is given, so that those of one
    /// turn of the loop are one write. Null: no longer. Call it with null before the loop goes.
    void write_behind(std::function<void(std::function<void()>)> later) const;
    void flush() const;

private:
    struct Core;
    explicit Logger(std::shared_ptr<Core> core) : core_(std::move(core)) {}

    std::shared_ptr<Core> core_;
    std::string correlation_id_;
};

} // namespace rbee::telemetry
