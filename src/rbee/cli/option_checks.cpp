#include "rbee/cli/option_checks.hpp"

#include "rbee/auth/scopes.hpp"
#include "rbee/auth/token_store.hpp"
#include "rbee/base/text.hpp"
#include "rbee/cli/options.hpp"
#include "rbee/domain/model_ref.hpp"
#include "rbee/domain/validate.hpp"
#include "rbee/http/url.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace rbee::cli {
namespace {

/// A check of ours in CLI11's form: no text means fine.
CLI::Validator checked(std::function<Result<void>(const std::string&)> check, std::string name) {
    return {
        [check = std::move(check)](std::string& text) {
            const auto result = check(text);
            return result ? std::string() : result.error().what;
        },
        std::move(name),
    };
}

} // namespace

Result<std::chrono::seconds> parse_lifetime(std::string_view text) {
    constexpr std::uint64_t longest = 100ULL * 365 * 86'400;
    const std::map<char, std::uint64_t> units = {
        {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}, {'w', 604'800}
    };
    const auto unit = text.empty() ? units.end() : units.find(text.back());
    const auto count =
        unit == units.end() ? std::nullopt : parse_u64(text.substr(0, text.size() - 1));
    if (!count || *count == 0 || *count > longest / unit->second) {
        return fail(
            Errc::invalid_argument, "must be a number with s, m, h, d or w behind it, such as 30d"
        );
    }
    return std::chrono::seconds(*count * unit->second);
}

CLI::Validator model_ref() {
    return checked(
        [](const std::string& text) -> Result<void> {
            const auto parsed = domain::parse_model_ref(text);
            return parsed ? Result<void>() : Result<void>(error_of(parsed));
        },
        "MODEL"
    );
}

CLI::Validator spawn_ref() {
    return checked(
        [](const std::string& text) -> Result<void> {
            const auto parsed = domain::parse_spawn_ref(text);
            if (parsed) {
                return {};
            }
            Error error = parsed.error();
            error.what += ". Example: rbee workers spawn hf:org/repo";
            return std::unexpected(std::move(error));
        },
        "MODEL"
    );
}

CLI::Validator base_url() {
    return checked(
        [](const std::string& text) -> Result<void> {
            const auto good = domain::check_text("the URL", text, {.bytes_max = 512});
            const auto parsed =
                good ? http::parse_endpoint(text) : Result<http::Endpoint>(error_of(good));
            return parsed ? Result<void>() : Result<void>(error_of(parsed));
        },
        "URL"
    );
}

CLI::Validator port() {
    return checked(
        [](const std::string& text) {
            constexpr std::uint64_t none = 1'000'000; // refused like any other that is no port
            return domain::check_port(parse_u64(text).value_or(none));
        },
        "PORT"
    );
}

CLI::Validator node_name() {
    return checked([](const std::string& text) { return domain::check_node_name(text); }, "NODE");
}

CLI::Validator worker_id() {
    return checked([](const std::string& text) { return domain::check_worker_id(text); }, "ID");
}

CLI::Validator token_name() {
    return checked([](const std::string& text) { return auth::check_token_name(text); }, "NAME");
}

CLI::Validator scopes() {
    return checked(
        [](const std::string& text) -> Result<void> {
            const auto parsed = auth::parse_scopes(std::string_view(text));
            return parsed ? Result<void>() : Result<void>(error_of(parsed));
        },
        "LIST"
    );
}

CLI::Validator lifetime() {
    return checked(
        [](const std::string& text) -> Result<void> {
            const auto parsed = parse_lifetime(text);
            return parsed ? Result<void>() : Result<void>(error_of(parsed));
        },
        "TIME"
    );
}

} // namespace rbee::cli
