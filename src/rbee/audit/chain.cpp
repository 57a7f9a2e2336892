#include "rbee/audit/chain.hpp"

#include "rbee/base/assert.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <charconv>
#include <cstring>
#include <iterator>
#include <utility>

namespace rbee::audit {
namespace {

constexpr std::string_view derivation = "rbee-audit-evolve";
constexpr std::size_t hex_digits = 2 * sizeof(Sha256);
constexpr std::string_view hash_field = ",\"entry_hash\":\"";
constexpr std::string_view mac_field = ",\"mac\":\"";
constexpr std::string_view link_field = ",\"previous_hash\":\"";

/// Takes a field of fixed size off the end of `line`: `name`, 64 hexadecimal digits, `close`.
std::optional<std::string_view>
take_back(std::string_view& line, std::string_view name, std::string_view close) {
    const std::size_t size = name.size() + hex_digits + close.size();
    if (line.size() < size || !line.ends_with(close)) {
        return std::nullopt;
    }
    const std::string_view field = line.substr(line.size() - size);
    if (!field.starts_with(name)) {
        return std::nullopt;
    }
    line.remove_suffix(size);
    return field.substr(name.size(), hex_digits);
}

/// Takes `"name":"value"` and what stands before it off the front.
std::optional<std::string_view> take_text(std::string_view& rest, std::string_view opening) {
    if (!rest.starts_with(opening)) {
        return std::nullopt;
    }
    const std::size_t end = rest.find('"', opening.size());
    if (end == std::string_view::npos) {
        return std::nullopt;
    }
    const std::string_view value = rest.substr(opening.size(), end - opening.size());
    rest.remove_prefix(end + 1);
    return value;
}

bool same(std::string_view stored, const std::string& computed) {
    return stored.size() == computed.size() &&
           CRYPTO_memcmp(stored.data(), computed.data(), computed.size()) == 0;
}

} // namespace

std::string record_id(std::string_view service, std::uint64_t seq) {
    return fmt::format("audit-{}-{:016x}", service, seq);
}

std::optional<std::uint64_t> sequence_of(std::string_view id) {
    constexpr std::size_t digits = 16;
    if (!id.starts_with("audit-") || id.size() < digits + 1 || id[id.size() - digits - 1] != '-') {
        return std::nullopt;
    }
    std::uint64_t seq = 0;
    const char* end = id.data() + id.size();
    const auto parsed = std::from_chars(end - digits, end, seq, 16);
    return parsed.ec == std::errc() && parsed.ptr == end ? std::optional(seq) : std::nullopt;
}

std::optional<std::uint64_t> claimed_sequence(std::string_view line) {
    const auto id = take_text(line, "{\"id\":\"");
    return id ? sequence_of(*id) : std::nullopt;
}

std::optional<Sha256> link_of(std::string_view line) {
    if (!take_back(line, hash_field, "\"}")) {
        return std::nullopt;
    }
    (void)take_back(line, mac_field, "\"");
    const auto link = take_back(line, link_field, "\"");
    return link ? parse_sha256(*link) : std::nullopt;
}

Chain::Chain(std::string service, ChainPoint at)
    : service_(std::move(service)), seq_(at.seq), hash_(at.hash) {
    if (!at.key.empty()) {
        set_key(at.key.expose());
    }
}

void Chain::set_key(std::string_view key) {
    RBEE_ASSERT(key.size() == sizeof(Sha256));
    if (material_.empty()) {
        material_ = Secret::of_size(derivation.size() + key.size());
        std::memcpy(material_.writable(), derivation.data(), derivation.size());
        mac_ = std::make_unique<KeyedDigest>(key);
    }
    std::memcpy(material_.writable() + derivation.size(), key.data(), key.size());
    mac_->rekey(key);
}

void Chain::evolve() {
    Sha256 next = sha256(material_.expose());
    set_key({reinterpret_cast<const char*>(next.data()), next.size()});
    OPENSSL_cleanse(next.data(), next.size());
}

void Chain::skip_keys(std::uint64_t count) {
    for (std::uint64_t i = 0; keyed() && i < count; ++i) {
        evolve();
    }
}

void Chain::append(std::string& out, std::string_view body, WallTime at) {
    const std::size_t begin = out.size();
    fmt::format_to(
        std::back_inserter(out),
        R"({{"id":"audit-{}-{:016x}","timestamp":"{}","service_id":"{}",{}{}{}")",
        service_,
        seq_ + 1,
        to_rfc3339(at),
        service_,
        body,
        link_field,
        to_hex(hash_)
    );
    const auto line = [&] { return std::string_view(out).substr(begin); };
    if (keyed()) {
        const std::string mac = to_hex(mac_->of(line()));
        out.append(mac_field).append(mac).append("\"");
        evolve();
    }
    hash_ = sha256(line());
    out.append(hash_field).append(to_hex(hash_)).append("\"}\n");
    ++seq_;
}

std::expected<LineView, ChainFault> Chain::fault(std::string_view line, std::string why) const {
    std::string_view rest = line;
    const auto id = take_text(rest, "{\"id\":\"");
    const bool readable = id && sequence_of(*id);
    return std::unexpected(
        ChainFault{readable ? std::string(*id) : record_id(service_, seq_ + 1), std::move(why)}
    );
}

std::expected<LineView, ChainFault> Chain::check(std::string_view line) {
    std::string_view front = line;
    const auto id = take_text(front, "{\"id\":\"");
    const auto time = take_text(front, ",\"timestamp\":\"");
    const auto service = take_text(front, ",\"service_id\":\"");
    const auto type = take_text(front, ",\"event_type\":\"");
    std::string_view hashed = line;
    const auto stored_hash = take_back(hashed, hash_field, "\"}");
    std::string_view signed_part = hashed;
    const auto mac = take_back(signed_part, mac_field, "\"");
    std::string_view linked = signed_part;
    const auto link = take_back(linked, link_field, "\"");
    const auto seq = id ? sequence_of(*id) : std::nullopt;
    if (!seq || !time || !service || !type || !stored_hash || !link) {
        return fault(line, "is not a record");
    }
    const Sha256 hash = sha256(hashed);
    if (!same(*stored_hash, to_hex(hash))) {
        return fault(line, "was changed: its entry_hash does not fit");
    }
    if (*service != service_ || *id != record_id(service_, *seq)) {
        return fault(line, "belongs to another service");
    }
    if (*seq != seq_ + 1) {
        return fault(line, fmt::format("stands where {} belongs", record_id(service_, seq_ + 1)));
    }
    if (!same(*link, to_hex(hash_))) {
        return fault(line, "does not follow the record before it: previous_hash does not fit");
    }
    if (keyed()) {
        if (!mac || !same(*mac, to_hex(mac_->of(signed_part)))) {
            return fault(
                line, mac ? "was not written with the key: its mac does not fit" : "has no mac"
            );
        }
        evolve();
    }
    hash_ = hash;
    seq_ = *seq;
    return LineView{*seq, *time, *type, mac.has_value()};
}

void Chain::save(ChainPoint& to) const {
    to.seq = seq_;
    to.hash = hash_;
    const std::string_view key =
        keyed() ? material_.expose().substr(derivation.size()) : std::string_view();
    if (to.key.size() != key.size()) {
        to.key = Secret::of_size(key.size());
    }
    if (!key.empty()) {
        std::memcpy(to.key.writable(), key.data(), key.size());
    }
}

void Chain::restore(const ChainPoint& from) {
    seq_ = from.seq;
    hash_ = from.hash;
    if (!from.key.empty()) {
        set_key(from.key.expose());
    }
}

} // namespace rbee::audit
