#include "rbee/telemetry/line_sink.hpp"

#include <spdlog/details/log_msg.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string_view>
#include <utility>

namespace rbee::telemetry::detail {
namespace {

/// More is not held back.
constexpr std::size_t held_bytes_max = 64UL * 1024;

void write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno != EINTR) {
            return; // a line that cannot be written is dropped
        }
        bytes.remove_prefix(static_cast<std::size_t>(written < 0 ? 0 : written));
    }
}

} // namespace

LineSink::~LineSink() {
    LineSink::flush_();
}

void LineSink::write_behind(Later later) {
    const std::lock_guard lock(mutex_);
    later_ = std::move(later);
    asked_ = false;
    flush_();
}

void LineSink::sink_it_(const spdlog::details::log_msg& message) {
    held_.append(message.payload.data(), message.payload.size());
    held_.push_back('\n');
    if (!later_ || message.level >= spdlog::level::warn || held_.size() > held_bytes_max) {
        flush_();
    } else if (!std::exchange(asked_, true)) {
        later_([weak = weak_from_this()] {
            if (const auto self = weak.lock()) {
                const std::lock_guard lock(self->mutex_);
                self->asked_ = false;
                self->flush_();
            }
        });
    }
}

void LineSink::flush_() {
    if (!held_.empty()) {
        write_all(file_.valid() ? file_.get() : STDERR_FILENO, held_);
        held_.clear();
    }
}

} // namespace rbee::telemetry::detail
