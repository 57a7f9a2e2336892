#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::telemetry {

/// Keeps log lines in memory, for tests. Thread-safe.
class LogCapture {
public:
    void add(std::string_view line) {
        const std::scoped_lock lock(mutex_);
        lines_.emplace_back(line);
    }

    /// The lines so far, without line ends.
    [[nodiscard]] std::vector<std::string> lines() const {
        const std::scoped_lock lock(mutex_);
        return lines_;
    }

    /// True when some line contains `part`.
    [[nodiscard]] bool contains(std::string_view part) const {
        const std::scoped_lock lock(mutex_);
        for (const std::string& line : lines_) {
            if (line.find(part) != std::string::npos) {
                return true;
            }
        }
        return false;
    }

    void clear() {
        const std::scoped_lock lock(mutex_);
        lines_.clear();
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
};

} // namespace rbee::telemetry
