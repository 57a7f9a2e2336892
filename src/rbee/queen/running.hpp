#pragma once

#include "rbee/base/cancel.hpp"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace rbee::queen {

/// The inferences that run now, by every id a client may know them by. Belongs to the event loop.
class Running {
public:
    /// Keeps one request in the registry for as long as it lives.
    class [[nodiscard]] Entry {
    public:
        Entry(Running& running, const std::vector<std::string>& ids, CancelSource& cancel)
            : running_(running) {
            ++running_.count_;
            for (const std::string& id : ids) {
                if (!id.empty()) {
                    places_.push_back(running_.requests_.emplace(id, &cancel));
                }
            }
        }
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;
        ~Entry() {
            --running_.count_;
            for (const auto& place : places_) {
                running_.requests_.erase(place);
            }
        }

    private:
        Running& running_;
        std::vector<std::multimap<std::string, CancelSource*>::iterator> places_;
    };

    /// Cancels all requests of that id and returns how many there were.
    std::size_t cancel(const std::string& id) {
        std::vector<CancelSource*> found;
        const auto [first, last] = requests_.equal_range(id);
        for (auto entry = first; entry != last; ++entry) {
            found.push_back(entry->second);
        }
        for (CancelSource* source : found) {
            source->cancel(CancelReason::requested);
        }
        return found.size();
    }

    [[nodiscard]] std::size_t count() const { return count_; }

private:
    std::multimap<std::string, CancelSource*> requests_;
    std::size_t count_ = 0;
};

} // namespace rbee::queen
