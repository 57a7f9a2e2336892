#include "rbee/worker/running.hpp"

#include <algorithm>

namespace rbee::worker {

RunningRequests::Entry::~Entry() {
    if (owner_ == nullptr) {
        return;
    }
    owner_->items_.erase(at_);
    if (owner_->items_.empty()) {
        owner_->emptied_();
    }
}

RunningRequests::Entry RunningRequests::add(std::vector<std::string> ids, CancelSource& cancel) {
    return {*this, items_.insert(items_.end(), Item{std::move(ids), &cancel})};
}

std::size_t RunningRequests::cancel(std::string_view id, CancelReason reason) {
    std::size_t found = 0;
    for (const Item& item : items_) {
        if (std::ranges::find(item.ids, id) != item.ids.end()) {
            item.cancel->cancel(reason);
            ++found;
        }
    }
    return found;
}

std::size_t RunningRequests::cancel_all(CancelReason reason) {
    for (const Item& item : items_) {
        item.cancel->cancel(reason);
    }
    return items_.size();
}

} // namespace rbee::worker
