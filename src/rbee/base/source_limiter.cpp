#include "rbee/base/source_limiter.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace rbee {
namespace {

/// The address of "address", "address:port" or "[address]:port".
std::string address_of(std::string_view peer) {
    if (peer.starts_with('[')) {
        const auto end = peer.find(']');
        return std::string(peer.substr(1, end == std::string_view::npos ? end : end - 1));
    }
    const bool has_port = std::ranges::count(peer, ':') == 1; // more of them: a bare IPv6 address
    return std::string(has_port ? peer.substr(0, peer.find(':')) : peer);
}

} // namespace

std::string source_of(std::string_view peer) {
    std::string address = address_of(peer);
    address.resize(std::min(address.size(), address.find('%'))); // the zone of a link-local one
    std::array<std::uint8_t, 16> bytes{};
    if (::inet_pton(AF_INET6, address.c_str(), bytes.data()) != 1) {
        return address;
    }
    in6_addr parsed{};
    std::ranges::copy(bytes, std::begin(parsed.s6_addr));
    if (IN6_IS_ADDR_V4MAPPED(&parsed)) {
        return fmt::format("{}.{}.{}.{}", bytes[12], bytes[13], bytes[14], bytes[15]);
    }
    std::string out;
    for (std::size_t i = 0; i < 8; ++i) {
        fmt::format_to(std::back_inserter(out), "{:02x}", bytes.at(i));
    }
    return out + "/64";
}

std::optional<Duration> SourceLimiter::take(const std::string& source, TimePoint now) {
    Bucket& bucket = buckets_.touch(source, {.left = options_.burst, .at = now});
    const std::chrono::duration<double> passed = now - bucket.at;
    bucket.left = std::min(options_.burst, bucket.left + passed.count() * options_.per_second);
    bucket.at = now;
    if (bucket.left >= 1) {
        bucket.left -= 1;
        return std::nullopt;
    }
    const std::chrono::duration<double> wait((1 - bucket.left) / options_.per_second);
    return std::chrono::ceil<Duration>(wait);
}

} // namespace rbee
