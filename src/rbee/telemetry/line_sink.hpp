#pragma once

#include "rbee/base/unique_fd.hpp"

#include <spdlog/sinks/base_sink.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace rbee::telemetry::detail {

/// Writes lines to a descriptor. Every line at once, or, after write_behind(), all that came until
/// the program's loop gets round to it, in one write: a line for each step of each request would
/// otherwise cost more than the step. Warnings and worse, and what was held back before them, never
/// wait. Thread-safe.
class LineSink final : public spdlog::sinks::base_sink<std::mutex>,
                       public std::enable_shared_from_this<LineSink> {
public:
    using Later = std::function<void(std::function<void()>)>;

    /// Takes `file`; without one the lines go to standard error.
    explicit LineSink(UniqueFd file = {}) : file_(std::move(file)) {}
    ~LineSink() override;
    LineSink(const LineSink&) = delete;
    LineSink& operator=(const LineSink&) = delete;

    /// `later` runs what it is given soon, on any thread. Null: every line at once again.
    void write_behind(Later later);

protected:
    void sink_it_(const spdlog::details::log_msg& message) override;
    void flush_() override;

private:
    UniqueFd file_;
    Later later_;
    std::string held_;
    bool asked_ = false; ///< `later_` will flush.
};

} // namespace rbee::telemetry::detail
