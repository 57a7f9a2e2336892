#include "rbee/audit/layout.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/base/text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <tuple>

namespace rbee::audit {
namespace {

constexpr std::string_view suffix = ".audit";
constexpr std::size_t seq_digits = 16;
constexpr std::size_t day_size = 10;
constexpr std::size_t stamp_size = 16;
constexpr std::size_t check_digits = 64;

bool has_shape(std::string_view text, std::string_view shape) {
    return std::ranges::equal(text, shape, [](char c, char like) {
        return like == '0' ? c >= '0' && c <= '9' : c == like;
    });
}

std::optional<std::uint64_t> hex_number(std::string_view text) {
    std::uint64_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    const bool whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
    return whole && to_lower(text) == text ? std::optional(value) : std::nullopt;
}

} // namespace

std::string SegmentName::file() const {
    const std::string dot = sealed.empty() ? "" : ".";
    return fmt::format("{:016x}-{}{}{}{}", first, day, dot, sealed, suffix);
}

std::optional<SegmentName> SegmentName::parse(std::string_view file) {
    if (!file.ends_with(suffix) || file.size() < seq_digits + 1 + day_size + suffix.size()) {
        return std::nullopt;
    }
    file.remove_suffix(suffix.size());
    const auto first = hex_number(file.substr(0, seq_digits));
    const std::string_view day = file.substr(seq_digits + 1, day_size);
    const std::string_view rest = file.substr(seq_digits + 1 + day_size);
    const bool sealed = rest.size() == stamp_size + 1 && rest.front() == '.' &&
                        has_shape(rest.substr(1), "00000000T000000Z");
    if (!first || *first == 0 || file[seq_digits] != '-' || !has_shape(day, "0000-00-00") ||
        !(rest.empty() || sealed)) {
        return std::nullopt;
    }
    return SegmentName{*first, std::string(day), std::string(sealed ? rest.substr(1) : rest)};
}

std::vector<SegmentName> segments_of(const std::vector<std::string>& files) {
    std::vector<SegmentName> out;
    for (const std::string& file : files) {
        if (auto name = SegmentName::parse(file)) {
            out.push_back(std::move(*name));
        }
    }
    std::ranges::sort(out, [](const SegmentName& a, const SegmentName& b) {
        return std::tie(a.first, a.day, a.sealed) < std::tie(b.first, b.day, b.sealed);
    });
    return out;
}

std::string day_of(WallTime time) {
    return to_rfc3339(time).substr(0, day_size);
}

std::string stamp_of(WallTime time) {
    std::string text = to_rfc3339(time).substr(0, 19) + "Z";
    std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
    return text;
}

Secret Head::format() const {
    Secret out = Secret::of_size(head_bytes);
    std::memset(out.writable(), ' ', head_bytes);
    char* end = fmt::format_to(
        out.writable(),
        "rbee-audit-head 1 {} {:016x} {} {} {} {} {} ",
        service,
        point.seq,
        to_hex(point.hash),
        segment.empty() ? "-" : segment,
        offset,
        clean ? "clean" : "open",
        fmt::join(lost, ",")
    );
    if (point.key.empty()) {
        *end++ = '-';
    }
    for (const char byte : point.key.expose()) {
        end = fmt::format_to(end, "{:02x}", static_cast<unsigned char>(byte));
    }
    const auto used = static_cast<std::size_t>(end - out.writable());
    RBEE_ASSERT(used + check_digits + 2 <= head_bytes);
    const std::string check = to_hex(sha256(out.expose().substr(0, used)));
    std::memcpy(end + 1, check.data(), check.size());
    out.writable()[head_bytes - 1] = '\n';
    return out;
}

std::optional<Head> Head::parse(std::string_view text) {
    if (text.size() != head_bytes) {
        return std::nullopt;
    }
    const std::vector<std::string_view> parts = split(trim(text), ' ');
    if (parts.size() != 11 || parts[0] != "rbee-audit-head" || parts[1] != "1") {
        return std::nullopt;
    }
    const auto used = static_cast<std::size_t>(parts[9].data() + parts[9].size() - text.data());
    const auto seq = hex_number(parts[3]);
    const auto hash = parse_sha256(parts[4]);
    const auto offset = parse_u64(parts[6]);
    if (parts[10] != to_hex(sha256(text.substr(0, used))) || !seq || !hash || !offset) {
        return std::nullopt;
    }
    Head head;
    head.service = parts[2];
    head.point.seq = *seq;
    head.point.hash = *hash;
    head.segment = parts[5] == "-" ? "" : parts[5];
    head.offset = *offset;
    head.clean = parts[7] == "clean";
    const auto losses = split(parts[8], ',');
    for (std::size_t i = 0; i < head.lost.size() && i < losses.size(); ++i) {
        head.lost.at(i) = parse_u64(losses[i]).value_or(0);
    }
    if (parts[9] != "-") {
        const auto key = parse_sha256(parts[9]);
        if (!key) {
            return std::nullopt;
        }
        head.point.key = Secret::copy_of({reinterpret_cast<const char*>(key->data()), key->size()});
    }
    return head;
}

} // namespace rbee::audit
