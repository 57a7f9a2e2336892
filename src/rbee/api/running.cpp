#include "rbee/api/running.hpp"

#include <algorithm>

namespace rbee::api {
namespace {

/// From a list of its own, because a request may end, and so leave `items_`, while it is cancelled.
std::size_t cancel_each(const std::vector<CancelSource*>& sources, CancelReason reason) {
    for (CancelSource* source : sources) {
        source->cancel(reason);
    }
    return sources.size();
}

} // namespace

RunningRequests::Entry::~Entry() {
    if (owner_ == nullptr) {
        return;
    }
    owner_->items_.erase(at_);
    if (owner_->items_.empty() && owner_->emptied_) {
        owner_->emptied_();
    }
}

RunningRequests::Entry RunningRequests::add(std::vector<std::string> ids, CancelSource& cancel) {
    return {*this, items_.insert(items_.end(), Item{std::move(ids), &cancel})};
}

std::size_t RunningRequests::cancel(std::string_view id, CancelReason reason) {
    if (id.empty()) {
        return 0;
    }
    std::vector<CancelSource*> found;
    for (const Item& item : items_) {
        if (std::ranges::find(item.ids, id) != item.ids.end()) {
            found.push_back(item.cancel);
        }
    }
    return cancel_each(found, reason);
}

std::size_t RunningRequests::cancel_all(CancelReason reason) {
    std::vector<CancelSource*> all;
    all.reserve(items_.size());
    for (const Item& item : items_) {
        all.push_back(item.cancel);
    }
    return cancel_each(all, reason);
}

} // namespace rbee::api
