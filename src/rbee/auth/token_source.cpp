#include "rbee/auth/token_source.hpp"

#include "rbee/auth/bearer.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <optional>
#include <utility>

namespace rbee::auth {
namespace {

constexpr std::size_t network_token_bytes_min = 16;

Result<FoundToken> from_file(std::string path, std::string source) {
    auto token = load_token_file(path);
    if (!token) {
        return error_of(token);
    }
    return FoundToken{std::move(*token), std::move(source), std::move(path)};
}

std::optional<std::string>
value_of(const config::Environment& environment, const std::string& name) {
    auto value = environment(name);
    return value && !value->empty() ? std::move(value) : std::nullopt;
}

} // namespace

Result<FoundToken> find_token(const std::string& path, const config::Environment& environment) {
    if (!path.empty()) {
        return from_file(path, "--token-file");
    }
    if (auto named = value_of(environment, "LLORCH_API_TOKEN_FILE")) {
        return from_file(std::move(*named), "LLORCH_API_TOKEN_FILE");
    }
    if (auto token = value_of(environment, "LLORCH_API_TOKEN")) {
        return FoundToken{Secret(std::move(*token)), "LLORCH_API_TOKEN", {}};
    }
    return FoundToken{};
}

Result<void> check_bind(const http::Endpoint& endpoint, const Secret& token) {
    if (http::is_loopback(endpoint)) {
        return {};
    }
    if (token.empty()) {
        return fail(Errc::invalid_argument, "API token required for non-loopback bind");
    }
    if (token.expose().size() < network_token_bytes_min) {
        return fail(
            Errc::invalid_argument,
            fmt::format(
                "API token too short for non-loopback bind: {} characters at least",
                network_token_bytes_min
            )
        );
    }
    return {};
}

} // namespace rbee::auth
