#include "rbee/queen/hive_report.hpp"

#include "rbee/base/text.hpp"
#include "rbee/http/url.hpp"
#include "rbee/pki/files.hpp"
#include "rbee/queen/local_hive.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <compare>
#include <optional>
#include <string>
#include <utility>

namespace rbee::queen {

namespace asio = boost::asio;

namespace {

using Version = std::array<std::uint64_t, 3>;

constexpr Version version_min = {0, 1, 0};

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

bool same_place(const http::Endpoint& one, const http::Endpoint& other) {
    return one.host == other.host && one.port == other.port && one.unix_path == other.unix_path &&
           one.secure == other.secure;
}

/// Before 1.0 every minor version may change what programs say to each other.
bool compatible(const Version& one, const Version& other) {
    return one[0] == other[0] && (one[0] != 0 || one[1] == other[1]);
}

} // namespace

Result<void> check_version(std::string_view hive) {
    const auto theirs = parse_version(hive);
    const Version ours = parse_version(RBEE_VERSION).value_or(Version{});
    const bool old = !theirs || *theirs < version_min;
    if (!old && compatible(*theirs, ours)) {
        return {};
    }
    const bool newer = !old && *theirs > ours;
    return fail(
        Errc::conflict,
        fmt::format(
            "the hive is version {}, this queen is {} and they do not fit: upgrade the {}",
            theirs ? hive : "unknown",
            RBEE_VERSION,
            newer ? "queen" : "hive"
        ),
        "VERSION_MISMATCH"
    );
}

std::vector<std::string> shortfalls(const api::HiveReport& report) {
    constexpr std::uint64_t gb = 1'000'000'000;
    constexpr std::uint64_t ram_gb_min = 8;
    constexpr std::uint64_t disk_gb_min = 50;
    std::vector<std::string> out;
    const auto check = [&](std::string_view what, std::uint64_t bytes, std::uint64_t min_gb) {
        if (bytes < min_gb * gb) {
            const double there = static_cast<double>(bytes) / static_cast<double>(gb);
            out.push_back(fmt::format(
                "the hive has {:.1f} GB of {}; {} GB are recommended", there, what, min_gb
            ));
        }
    };
    check("RAM", report.ram_total_bytes, ram_gb_min);
    check("free disk", report.disk_available_bytes, disk_gb_min);
    return out;
}

void log_preflight(const telemetry::Logger& log, const api::HiveReport& report) {
    std::vector<std::string> backends;
    for (const api::BackendInfo& backend : report.backends) {
        if (backend.available) {
            backends.push_back(fmt::format("{}:{}", backend.backend, backend.device));
        }
    }
    const std::vector<std::string> lacks = shortfalls(report);
    log.info(
        "hive_preflight",
        "the hive is healthy and its version fits",
        {{"hive", report.hive_id},
         {"version", report.version},
         {"backends", fmt::format("{}", fmt::join(backends, ", "))},
         {"ram_total_mb", report.ram_total_bytes / 1'000'000},
         {"disk_available_mb", report.disk_available_bytes / 1'000'000},
         {"resources", lacks.empty() ? "enough" : "small"}}
    );
    for (const std::string& lack : lacks) {
        log.warn("hive_small", lack, {{"hive", report.hive_id}});
    }
}

Result<void>
check_identity(const Fleet& fleet, std::string_view identity, const api::HiveReport& report) {
    if (identity.empty()) {
        return {};
    }
    if (identity != pki::hive_uri(report.hive_id)) {
        return fail(
            Errc::forbidden,
            "the certificate is that of another hive; start it under the name it joined with",
            "IDENTITY_MISMATCH"
        );
    }
    const auto endpoint = http::parse_endpoint(report.url);
    for (const auto& [name, hive] : fleet.hives()) {
        if (endpoint && name != report.hive_id && same_place(hive.endpoint, *endpoint)) {
            return fail(
                Errc::forbidden, "the url of this hive is that of another", "IDENTITY_MISMATCH"
            );
        }
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
            return same_place(entry.second.endpoint, *endpoint);
        });
        if (same != fleet->hives().end()) {
            report.hive_id = same->first;
            known = &same->second;
        }
    }
    const bool is_new = known == nullptr;
    const bool moved = known != nullptr && !same_place(known->endpoint, *endpoint);
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
