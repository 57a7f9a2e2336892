#include "rbee/telemetry/redact.hpp"

#include "rbee/base/text.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace rbee::telemetry {
namespace {

constexpr std::string_view mark = "[REDACTED]";

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_word(char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/// Characters of tokens68 (RFC 7235) and base64url.
bool is_token(char c) {
    return is_word(c) || c == '.' || c == '~' || c == '+' || c == '/' || c == '=';
}

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

template <typename Predicate>
std::size_t skip(std::string_view text, std::size_t at, Predicate predicate) {
    while (at < text.size() && predicate(text[at])) {
        ++at;
    }
    return at;
}

bool starts_at(std::string_view text, std::size_t at, std::string_view prefix) {
    return text.size() - at >= prefix.size() && iequals(text.substr(at, prefix.size()), prefix);
}

/// What a rule found: copy the text up to `keep`, then the mark, then go on at `end`.
struct Hit {
    std::size_t keep;
    std::size_t end;
};

std::optional<Hit> private_key(std::string_view text, std::size_t at) {
    if (!starts_at(text, at, "-----BEGIN ")) {
        return std::nullopt;
    }
    const std::size_t header = text.find("PRIVATE KEY", at);
    if (header == std::string_view::npos || header - at > 40) {
        return std::nullopt;
    }
    const std::size_t footer = text.find("-----END ", header);
    if (footer == std::string_view::npos) {
        return Hit{at, text.size()};
    }
    const std::size_t close = text.find("-----", footer + 9);
    return Hit{at, close == std::string_view::npos ? text.size() : close + 5};
}

std::optional<Hit> json_web_token(std::string_view text, std::size_t at) {
    if (text.substr(at, 3) != "eyJ") {
        return std::nullopt;
    }
    const std::size_t header = skip(text, at, is_word);
    if (header >= text.size() || text[header] != '.' || header - at < 10) {
        return std::nullopt;
    }
    return Hit{at, skip(text, header, [](char c) { return is_word(c) || c == '.'; })};
}

std::optional<Hit> known_prefix(std::string_view text, std::size_t at) {
    static constexpr std::array<std::string_view, 9> prefixes = {
        "hf_", "sk-", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "xoxp-"
    };
    for (const std::string_view prefix : prefixes) {
        if (text[at] == prefix.front() && text.substr(at, prefix.size()) == prefix) {
            const std::size_t end = skip(text, at, is_word);
            if (end - at >= prefix.size() + 12) {
                return Hit{at, end};
            }
        }
    }
    // Our own tokens have 55 characters; the names of metrics begin alike and are shorter.
    constexpr std::size_t own_least = 48;
    const std::size_t end = text.substr(at, 5) == "rbee_" ? skip(text, at, is_word) : at;
    return end - at >= own_least ? std::optional(Hit{at, end}) : std::nullopt;
}

/// Where the word after "Bearer " ends, unless that is prose such as "bearer token".
std::optional<Hit> bearer(std::string_view text, std::size_t at) {
    if (!starts_at(text, at, "bearer")) {
        return std::nullopt;
    }
    const std::size_t begin = skip(text, at + 6, is_space);
    const std::size_t end = skip(text, begin, is_token);
    if (begin == at + 6 || end == begin) {
        return std::nullopt;
    }
    static constexpr std::array<std::string_view, 8> prose = {
        "token", "tokens", "auth", "authentication", "authorization", "scheme", "header", "is"
    };
    // a full stop or comma may end the word
    const std::string_view word = trim(text.substr(begin, skip(text, begin, is_letter) - begin));
    const bool whole = begin + word.size() == end || text.substr(begin + word.size(), 1) == ".";
    const bool harmless = whole && std::ranges::any_of(prose, [&](std::string_view known) {
                              return iequals(known, word);
                          });
    if (harmless) {
        return std::nullopt;
    }
    return Hit{begin, end};
}

/// scheme://user:password@host, from "://".
std::optional<Hit> url_password(std::string_view text, std::size_t at) {
    if (text.substr(at, 3) != "://") {
        return std::nullopt;
    }
    const std::size_t begin = at + 3;
    const std::size_t end = skip(text, begin, [](char c) {
        return !is_space(c) && c != '/' && c != '?' && c != '#' && c != '"' && c != '\'';
    });
    const std::string_view authority = text.substr(begin, end - begin);
    const std::size_t host = authority.rfind('@');
    if (host == std::string_view::npos) {
        return std::nullopt;
    }
    const std::size_t colon = authority.find(':');
    if (colon < host) {
        return Hit{begin + colon + 1, begin + host};
    }
    // One long word before '@' is a token (https://<token>@host), a short one a user name.
    return host >= 16 ? std::optional(Hit{begin, begin + host}) : std::nullopt;
}

/// The end of the value that begins at `at`, behind '=' or ':'.
Hit value_at(std::string_view text, std::size_t at) {
    std::size_t begin = skip(text, at, [](char c) { return c == ' ' || c == '\t'; });
    for (const std::string_view scheme : {"bearer ", "basic ", "digest ", "token "}) {
        if (starts_at(text, begin, scheme)) {
            begin = skip(text, begin + scheme.size(), is_space);
        }
    }
    if (begin < text.size() && (text[begin] == '"' || text[begin] == '\'')) {
        const char quote = text[begin++];
        std::size_t end = begin;
        while (end < text.size() && text[end] != quote) {
            end += text[end] == '\\' ? 2 : 1;
        }
        return {begin, std::min(end, text.size())};
    }
    const std::size_t end = skip(text, begin, [](char c) {
        return !is_space(c) && std::string_view(",;&\"'}])").find(c) == std::string_view::npos;
    });
    return {begin, end};
}

/// "token:" and six hexadecimal digits: made to be shown, too short to help a guess.
bool is_fingerprint(std::string_view text) {
    constexpr std::string_view prefix = "token:";
    return text.size() == prefix.size() + 6 && text.starts_with(prefix) &&
           std::ranges::all_of(text.substr(prefix.size()), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

/// name=value, "name": "value", Name: value; `at` is the first character of a word.
std::optional<Hit> named_value(std::string_view text, std::size_t at, std::size_t word_end) {
    std::size_t sign = word_end;
    if (sign < text.size() && text[sign] == '\\') {
        ++sign;
    }
    sign = skip(text, sign, [](char c) { return c == '"' || c == '\''; });
    sign = skip(text, sign, [](char c) { return c == ' '; });
    if (sign >= text.size() || (text[sign] != '=' && text[sign] != ':')) {
        return std::nullopt;
    }
    // Few words stand before such a sign, so the name is looked at last.
    if (text.substr(sign, 3) == "://" || !names_a_secret(text.substr(at, word_end - at))) {
        return std::nullopt;
    }
    const Hit hit = value_at(text, sign + 1);
    if (hit.end == hit.keep || text.substr(hit.keep, mark.size()) == mark) {
        return std::nullopt;
    }
    if (is_fingerprint(text.substr(at, hit.end - at))) {
        return std::nullopt;
    }
    return hit;
}

std::optional<Hit> rule_at(std::string_view text, std::size_t at, std::size_t word_end) {
    if (auto hit = json_web_token(text, at)) {
        return hit;
    }
    if (auto hit = known_prefix(text, at)) {
        return hit;
    }
    if (auto hit = bearer(text, at)) {
        return hit;
    }
    return named_value(text, at, word_end);
}

std::string hide_secrets(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    std::size_t at = 0;
    while (at < text.size()) {
        std::optional<Hit> hit;
        std::size_t next = at + 1;
        if (text[at] == '-') {
            hit = private_key(text, at);
        } else if (text[at] == ':') {
            hit = url_password(text, at);
        } else if (is_word(text[at])) {
            next = skip(text, at, is_word);
            hit = rule_at(text, at, next);
        }
        if (hit) {
            out.append(text.substr(at, hit->keep - at));
            out.append(mark);
            next = hit->end;
        } else {
            out.append(text.substr(at, next - at));
        }
        at = next;
    }
    return out;
}

/// Length of the well-formed UTF-8 sequence at `at`, or 0.
std::size_t utf8_length(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) {
        return at + i < text.size() ? static_cast<std::uint8_t>(text[at + i]) : std::uint8_t{0};
    };
    const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
    const std::uint8_t lead = byte(0);
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        return tail(1) ? 2 : 0;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        const bool overlong = lead == 0xE0 && byte(1) < 0xA0;
        const bool surrogate = lead == 0xED && byte(1) > 0x9F;
        return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        const bool overlong = lead == 0xF0 && byte(1) < 0x90;
        const bool beyond = lead == 0xF4 && byte(1) > 0x8F;
        return tail(1) && tail(2) && tail(3) && !overlong && !beyond ? 4 : 0;
    }
    return 0;
}

bool is_plain(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= ' ' && c < 0x7F; });
}

/// Characters that end a line for some readers or make text read otherwise than it is: U+2028-202E,
/// U+2066-2069, U+FEFF.
bool reorders(std::string_view character) {
    if (character.size() != 3) {
        return false;
    }
    const auto last = static_cast<std::uint8_t>(character[2]);
    const std::string_view lead = character.substr(0, 2);
    return (lead == "\xE2\x80" && last >= 0xA8 && last <= 0xAE) ||
           (lead == "\xE2\x81" && last >= 0xA6 && last <= 0xA9) || character == "\xEF\xBB\xBF";
}

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = utf8_length(text, at);
        if (length == 0) {
            out += "\xEF\xBF\xBD";
            ++at;
            continue;
        }
        const char c = text[at];
        // C1 controls (U+0080 to U+009F) steer terminals just as ESC does.
        const bool c1 =
            length == 2 && c == '\xC2' && static_cast<std::uint8_t>(text[at + 1]) < 0xA0;
        const bool control = length == 1 && (static_cast<std::uint8_t>(c) < 0x20 || c == 0x7F);
        if (is_space(c)) {
            out += ' ';
        } else if (c1 || control || reorders(text.substr(at, length))) {
            out += '?';
        } else {
            out.append(text.substr(at, length));
        }
        at += length;
    }
    return out;
}

/// Whether a line may stand between the first and the last line of a private key: base64, or the
/// header lines of RFC 1421.
bool may_be_key(std::string_view line) {
    const std::string_view content = trim(line);
    return content.contains(": ") ? content.starts_with("Proc-Type") || content.starts_with("DEK-")
                                  : std::ranges::all_of(content, is_token);
}

bool marks_key(std::string_view line, std::string_view which) {
    return line.contains(which) && line.contains("PRIVATE KEY");
}

/// The first of `lines` that is no part of a private key which began before them.
std::size_t after_cut_key(const std::vector<std::string_view>& lines) {
    const auto other = std::ranges::find_if_not(lines, may_be_key);
    const bool ends_key =
        other != lines.end() && marks_key(*other, "-----END ") && !marks_key(*other, "-----BEGIN ");
    return ends_key ? static_cast<std::size_t>(other - lines.begin()) + 1 : 0;
}

} // namespace

std::string redact_lines(std::string_view text) {
    const std::vector<std::string_view> lines = split(text, '\n');
    const std::size_t first = after_cut_key(lines);
    std::string out(first > 0 ? mark : std::string_view());
    bool in_key = false;
    for (std::size_t i = first; i < lines.size(); ++i) {
        const std::string_view line = lines[i];
        const bool end = marks_key(line, "-----END ");
        if (in_key && (end || may_be_key(line))) {
            in_key = !end;
            continue;
        }
        out += i > 0 ? "\n" : "";
        out += redact(line); // hides what follows the first line of a key on that line
        in_key = marks_key(line, "-----BEGIN ") && !end;
    }
    return out;
}

bool names_a_secret(std::string_view name) {
    static constexpr std::array<std::string_view, 13> endings = {
        "key",
        "token",
        "secret",
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "apikey",
        "authorization",
        "credential",
        "credentials",
        "cookie",
        "bearer",
    };
    return std::ranges::any_of(endings, [&](std::string_view ending) {
        if (name.size() < ending.size()) {
            return false;
        }
        const std::size_t at = name.size() - ending.size();
        if (!iequals(name.substr(at), ending)) {
            return false;
        }
        // "api_key", "apiKey" and "key", but not "monkey"
        const bool hump = at > 0 && name[at] < 'a' && name[at - 1] >= 'a';
        return at == 0 || !is_letter(name[at - 1]) || hump;
    });
}

std::string redact(std::string_view text) {
    std::string hidden = hide_secrets(text);
    return is_plain(hidden) ? hidden : printable(hidden);
}

} // namespace rbee::telemetry
