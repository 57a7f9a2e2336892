#pragma once

#include "rbee/base/clock.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace rbee::hive {

/// The requests that one worker has now, and when each has to be done. Ids may repeat: clients
/// choose them. Pure; belongs to one loop.
class ActiveRequests {
public:
    using Key = std::pair<WallTime, std::uint64_t>;

    /// What remove() takes.
    [[nodiscard]] Key add(std::string request_id, WallTime deadline);
    void remove(const Key& key) { by_deadline_.erase(key); }

    [[nodiscard]] std::size_t size() const { return by_deadline_.size(); }
    /// Nothing when there is no request.
    [[nodiscard]] std::optional<WallTime> earliest() const;
    /// Ids of requests, the most urgent first.
    [[nodiscard]] const std::map<Key, std::string>& by_deadline() const { return by_deadline_; }

private:
    std::map<Key, std::string> by_deadline_;
    std::uint64_t last_ = 0;
};

} // namespace rbee::hive
