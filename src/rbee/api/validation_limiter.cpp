#include "rbee/api/validation_limiter.hpp"

namespace rbee::api {

bool ValidationLimiter::count(const std::string& source, TimePoint now) {
    if (options_.per_window == 0) {
        return true;
    }
    Client& client = clients_.touch(source, {.begun = now});
    if (now - client.begun >= options_.window) {
        client.begun = now;
        client.failures = 0;
    }
    ++client.failures;
    return client.failures <= options_.per_window;
}

} // namespace rbee::api
