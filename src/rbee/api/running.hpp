#pragma once

#include "rbee/base/cancel.hpp"

#include <cstddef>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::api {

/// The requests that run now, by the ids under which a client may cancel them. Belongs to one event
/// loop; must outlive its entries.
class RunningRequests {
    struct Item {
        std::vector<std::string> ids;
        CancelSource* cancel;
    };
    using Items = std::list<Item>;

public:
    /// Keeps a request listed for as long as it lives.
    class [[nodiscard]] Entry {
    public:
        Entry(RunningRequests& owner, Items::iterator at) : owner_(&owner), at_(at) {}
        Entry(Entry&& other) noexcept
            : owner_(std::exchange(other.owner_, nullptr)), at_(other.at_) {}
        Entry& operator=(Entry&&) = delete;
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;
        ~Entry();

    private:
        RunningRequests* owner_;
        Items::iterator at_;
    };

    RunningRequests() = default;
    /// `emptied` is called when the last entry goes.
    explicit RunningRequests(std::function<void()> emptied) : emptied_(std::move(emptied)) {}

    /// `cancel` must outlive the entry. Empty ids name nothing.
    Entry add(std::vector<std::string> ids, CancelSource& cancel);
    /// Cancels every request with that id and returns how many there were.
    std::size_t cancel(std::string_view id, CancelReason reason);
    /// Cancels all of them and returns how many there were.
    std::size_t cancel_all(CancelReason reason);
    [[nodiscard]] std::size_t count() const { return items_.size(); }
    [[nodiscard]] bool empty() const { return items_.empty(); }

private:
    Items items_;
    std::function<void()> emptied_;
};

} // namespace rbee::api
