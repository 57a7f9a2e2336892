#include "rbee/hive/active_requests.hpp"

namespace rbee::hive {

ActiveRequests::Key ActiveRequests::add(std::string request_id, WallTime deadline) {
    const Key key{deadline, ++last_};
    by_deadline_.emplace(key, std::move(request_id));
    return key;
}

std::optional<WallTime> ActiveRequests::earliest() const {
    return by_deadline_.empty() ? std::nullopt : std::optional(by_deadline_.begin()->first.first);
}

} // namespace rbee::hive
