#include "rbee/http/admission.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace rbee::http {

Source::Source(const sockaddr_storage& peer) {
    if (peer.ss_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &peer, sizeof v4);
        std::memcpy(prefix_.data(), &v4.sin_addr, sizeof v4.sin_addr);
        v4_ = known_ = true;
    } else if (peer.ss_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &peer, sizeof v6);
        known_ = true;
        v4_ = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        constexpr std::size_t mapped_at = 12;
        if (v4_) {
            std::memcpy(prefix_.data(), v6.sin6_addr.s6_addr + mapped_at, sizeof(in_addr));
        } else {
            std::memcpy(prefix_.data(), v6.sin6_addr.s6_addr, prefix_.size());
        }
    }
}

bool SourceCounter::enter(const Source& source) {
    if (!source.known()) {
        return true;
    }
    std::size_t& open = open_[source]; // counted without a limit too: one may come by a reload
    if (limit_ != 0 && open >= limit_) {
        return false;
    }
    ++open;
    return true;
}

void SourceCounter::leave(const Source& source) {
    const auto found = open_.find(source);
    if (found != open_.end() && --found->second == 0) {
        open_.erase(found);
    }
}

bool ByteBudget::Share::take(std::uint64_t bytes) {
    const std::uint64_t left = budget_.max_ - std::min(budget_.max_, budget_.taken_);
    if (bytes > left) {
        return false;
    }
    budget_.taken_ += bytes;
    taken_ += bytes;
    return true;
}

} // namespace rbee::http
