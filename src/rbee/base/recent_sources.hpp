#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>

namespace rbee {

/// One value for each source that was heard of lately. At most `sources_max` are remembered; the
/// one that was silent for longest is forgotten first. Not thread-safe.
template <typename Value>
class RecentSources {
public:
    explicit RecentSources(std::size_t sources_max) : sources_max_(sources_max) {}

    /// The value of `source`, which is `fresh` when it was not remembered. Valid until the next
    /// call.
    [[nodiscard]] Value& touch(const std::string& source, const Value& fresh) {
        const auto known = by_source_.find(source);
        if (known != by_source_.end()) {
            entries_.splice(entries_.begin(), entries_, known->second);
            return entries_.front().second;
        }
        entries_.emplace_front(source, fresh);
        by_source_.emplace(source, entries_.begin());
        if (entries_.size() > sources_max_) {
            by_source_.erase(entries_.back().first);
            entries_.pop_back();
        }
        return entries_.front().second;
    }
    [[nodiscard]] std::size_t size() const { return entries_.size(); }

private:
    using Entries = std::list<std::pair<std::string, Value>>; ///< The one touched last in front.
    std::size_t sources_max_;
    Entries entries_;
    std::unordered_map<std::string, typename Entries::iterator> by_source_;
};

} // namespace rbee
