#include "rbee/api/validation_limiter.hpp"

namespace rbee::api {

bool ValidationLimiter::count(const std::string& source, TimePoint now) {
    if (options_.per_window == 0) {
        return true;
    }
    const auto known = by_source_.find(source);
    if (known == by_source_.end()) {
        clients_.push_front({.source = source, .begun = now});
        by_source_.emplace(source, clients_.begin());
        if (clients_.size() > options_.sources_max) {
            by_source_.erase(clients_.back().source);
            clients_.pop_back();
        }
    } else {
        clients_.splice(clients_.begin(), clients_, known->second);
    }
    Client& client = clients_.front();
    if (now - client.begun >= options_.window) {
        client.begun = now;
        client.failures = 0;
    }
    ++client.failures;
    return client.failures <= options_.per_window;
}

} // namespace rbee::api
