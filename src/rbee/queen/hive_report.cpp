#include "rbee/queen/hive_report.hpp"

#include "rbee/base/text.hpp"
#include "rbee/http/url.hpp"
#include "rbee/queen/local_hive.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <compare>
#include <optional>
#include <string>
#include <utility>

namespace rbee::queen {

namespace asio = boost::asio;

namespace {

constexpr std::string_view version_min = "0.1.0";

using Version = std::array<std::uint64_t, 3>;

std::optional<Version> parse_version(std::string_view text) {
    Version version{};
    const auto parts = split(text.substr(0, text.find_first_of("-+")), '.');
    if (parts.size() != version.size()) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < version.size(); ++i) {
        const auto number = parse_u64(parts[i]);
        if (!number) {
            return std::nullopt;
        }
        version.at(i) = *number;
    }
    return version;
}

} // namespace

Result<void> check_version(std::string_view hive) {
    const auto theirs = parse_version(hive);
    if (!theirs || *theirs < *parse_version(version_min)) {
        return fail(
            Errc::conflict,
            fmt::format(
                "the hive is version {}, this queen {} needs {} or newer: upgrade the hive",
                theirs ? hive : "unknown",
                RBEE_VERSION,
                version_min
            ),
            "VERSION_MISMATCH"
        );
    }
    return {};
}

asio::awaitable<Result<void>>
take_report(Fleet* fleet, NodeStore* nodes, api::HiveReport report, std::int64_t now_unix) {
    auto endpoint = http::parse_endpoint(report.url);
    if (!endpoint) {
        co_return error_of(endpoint);
    }
    const Hive* known = fleet->find_hive(report.hive_id);
    if (known == nullptr) {
        // One that was added under another name: the name it was given here counts.
        const auto same = std::ranges::find_if(fleet->hives(), [&](const auto& entry) {
            return entry.second.endpoint == *endpoint;
        });
        if (same != fleet->hives().end()) {
            report.hive_id = same->first;
            known = &same->second;
        }
    }
    const bool is_new = known == nullptr;
    const bool moved = known != nullptr && known->endpoint != *endpoint;
    const bool was_away = known != nullptr && !known->available;
    const std::string name = report.hive_id;
    const std::string url = endpoint->to_string();
    if (is_new || moved) {
        fleet->add_hive(name, std::move(*endpoint));
    }
    fleet->apply(std::move(report));
    if (is_new || moved) {
        auto node = node_at(name, url);
        if (!node) {
            co_return error_of(node);
        }
        node->managed = name == local_hive_name;
        node->status = "reachable";
        node->last_connected_unix = now_unix;
        auto stored = co_await nodes->note_contact(std::move(*node));
        co_return stored;
    }
    if (was_away) {
        auto stored = co_await nodes->note_status(name, "reachable", now_unix);
        co_return stored;
    }
    co_return Result<void>();
}

} // namespace rbee::queen
