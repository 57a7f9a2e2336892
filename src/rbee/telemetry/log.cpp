#include "rbee/telemetry/log.hpp"

#include "rbee/base/unique_fd.hpp"
#include "rbee/telemetry/line_sink.hpp"
#include "rbee/telemetry/log_format.hpp"

#include <fcntl.h>
#include <spdlog/common.h>
#include <spdlog/details/log_msg.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <system_error>
#include <utility>

namespace rbee::telemetry {
namespace {

constexpr std::array<std::string_view, 6> level_names = {
    "trace", "debug", "info", "warn", "error", "off"
};

spdlog::level::level_enum to_spdlog(Level level) {
    switch (level) {
    case Level::trace:
        return spdlog::level::trace;
    case Level::debug:
        return spdlog::level::debug;
    case Level::info:
        return spdlog::level::info;
    case Level::warn:
        return spdlog::level::warn;
    case Level::error:
        return spdlog::level::err;
    case Level::off:
        break;
    }
    return spdlog::level::off;
}

class CaptureSink final : public spdlog::sinks::base_sink<std::mutex> {
public:
    explicit CaptureSink(std::shared_ptr<LogCapture> capture) : capture_(std::move(capture)) {}

protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        capture_->add({message.payload.data(), message.payload.size()});
    }
    void flush_() override {}

private:
    std::shared_ptr<LogCapture> capture_;
};

/// Opens the file, which is made for its owner only.
Result<UniqueFd> open_private(const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!file.valid()) {
        return fail(
            Errc::io,
            "cannot open the log file " + path + ": " + std::generic_category().message(errno)
        );
    }
    return file;
}

std::optional<Format> parse_format(std::string_view text) {
    if (text == "json") {
        return Format::json;
    }
    return text == "pretty" ? std::optional(Format::pretty) : std::nullopt;
}

} // namespace

struct Logger::Core {
    Core(Options from, spdlog::sink_ptr sink)
        : options(std::move(from)), clock(options.clock != nullptr ? *options.clock : system_clock),
          out(options.component, std::move(sink)) {
        out.set_pattern("%v");
        out.set_level(to_spdlog(options.level));
        out.set_error_handler([](const std::string&) {});
        colour = options.format == Format::pretty && options.path.empty() && !options.capture &&
                 ::isatty(STDERR_FILENO) == 1;
    }

    Options options;
    SystemClock system_clock;
    const Clock& clock;
    spdlog::logger out;
    std::shared_ptr<detail::LineSink> lines; ///< Null for captured lines.
    bool colour = false;
};

std::string_view to_string(Level level) {
    return level_names.at(static_cast<std::size_t>(level));
}

std::optional<Level> parse_level(std::string_view text) {
    for (std::size_t i = 0; i < level_names.size(); ++i) {
        if (level_names.at(i) == text) {
            return static_cast<Level>(i);
        }
    }
    return std::nullopt;
}

Result<LogStyle> parse_log_style(std::string_view format, std::string_view level, bool terminal) {
    LogStyle style{.format = terminal ? Format::pretty : Format::json};
    if (!format.empty()) {
        const auto wanted = parse_format(format);
        if (!wanted) {
            return fail(Errc::invalid_argument, "log-format must be json or pretty");
        }
        style.format = *wanted;
    }
    if (!level.empty()) {
        const auto wanted = parse_level(level);
        if (!wanted) {
            return fail(
                Errc::invalid_argument, "log-level must be trace, debug, info, warn, error or off"
            );
        }
        style.level = *wanted;
    }
    return style;
}

Result<Logger> Logger::open(Options options) {
    try {
        if (options.capture) {
            auto sink = std::make_shared<CaptureSink>(options.capture);
            return Logger(std::make_shared<Core>(std::move(options), std::move(sink)));
        }
        UniqueFd file;
        if (!options.path.empty()) {
            auto opened = open_private(options.path);
            if (!opened) {
                return error_of(opened);
            }
            file = std::move(*opened);
        }
        auto sink = std::make_shared<detail::LineSink>(std::move(file));
        Logger logger(std::make_shared<Core>(std::move(options), sink));
        logger.core_->lines = std::move(sink);
        return logger;
    } catch (const std::exception& error) {
        return fail(Errc::io, std::string("cannot open the log: ") + error.what());
    }
}

Logger Logger::silent() {
    Options options{.component = "silent", .level = Level::off};
    return Logger(std::make_shared<Core>(
        std::move(options), std::make_shared<CaptureSink>(std::make_shared<LogCapture>())
    ));
}

Logger Logger::with_correlation(std::string id) const {
    Logger child = *this;
    child.correlation_id_ = std::move(id);
    return child;
}

void Logger::write(Level level, std::string_view event, std::string_view message, Fields fields)
    const {
    if (level == Level::off || !enabled(level)) {
        return;
    }
    const detail::Line line{
        .time = core_->clock.wall(),
        .level = level,
        .component = core_->options.component,
        .event = event,
        .message = message,
        .correlation_id = correlation_id_,
        .fields = fields,
    };
    const std::string text = core_->options.format == Format::json
                                 ? detail::json_line(line)
                                 : detail::pretty_line(line, core_->colour);
    core_->out.log(to_spdlog(level), spdlog::string_view_t(text));
}

bool Logger::enabled(Level level) const {
    return core_->out.should_log(to_spdlog(level));
}

void Logger::set_level(Level level) {
    core_->out.set_level(to_spdlog(level));
}

void Logger::write_behind(std::function<void(std::function<void()>)> later) const {
    if (core_->lines) {
        core_->lines->write_behind(std::move(later));
    }
}

void Logger::flush() const {
    core_->out.flush();
}

} // namespace rbee::telemetry
