#include "rbee/auth/token_source.hpp"

#include "rbee/auth/secret_file.hpp"
#include "rbee/auth/token.hpp"
#include "rbee/auth/token_file.hpp"
#include "rbee/base/unique_fd.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <utility>

namespace rbee::auth {
namespace {

bool is_there(const std::string& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

Result<FoundToken> from_file(std::string path, std::string source, SecretFileRules rules = {}) {
    rules.what = "API token file";
    auto token = load_token_file(path, rules);
    if (!token) {
        return error_of(token);
    }
    return FoundToken{std::move(*token), std::move(source), std::move(path), rules.credential, {}};
}

/// Nothing when systemd passes no such credential.
Result<FoundToken> from_credentials(const config::Environment& environment) {
    auto path = credential_path(environment, token_credential);
    if (!path) {
        if (path.error().code == Errc::not_found) {
            return FoundToken{};
        }
        return std::unexpected(path.error().within("Failed to load API token"));
    }
    if (!is_there(*path)) {
        return FoundToken{};
    }
    std::string root = path->substr(0, path->rfind('/'));
    return from_file(
        std::move(*path), "systemd credential", {.root = std::move(root), .credential = true}
    );
}

Result<FoundToken> first_of(TokenSources& sources) {
    if (sources.fd) {
        const UniqueFd fd(*sources.fd);
        auto token = load_token_fd(fd.get(), "--token-fd");
        if (!token) {
            return error_of(token);
        }
        return FoundToken{std::move(*token), "--token-fd", {}, false, {}};
    }
    if (!sources.file.empty()) {
        return from_file(sources.file, "--token-file");
    }
    if (auto credential = from_credentials(sources.environment);
        !credential || !credential->source.empty()) {
        return credential;
    }
    if (auto named = sources.environment("LLORCH_API_TOKEN_FILE"); named && !named->empty()) {
        return from_file(std::move(*named), "LLORCH_API_TOKEN_FILE");
    }
    if (!sources.configured_file.empty()) {
        return from_file(sources.configured_file, "settings file");
    }
    if (!sources.from_environment.empty()) {
        return FoundToken{
            std::move(sources.from_environment),
            "LLORCH_API_TOKEN",
            {},
            false,
            {"LLORCH_API_TOKEN is deprecated, because environments are easily seen; use "
             "--token-file, LLORCH_API_TOKEN_FILE or a systemd credential"}
        };
    }
    if (!sources.home_file.empty() && is_there(sources.home_file)) {
        return from_file(sources.home_file, sources.home_file);
    }
    return FoundToken{};
}

} // namespace

Result<FoundToken> find_token(TokenSources sources) {
    auto found = first_of(sources);
    if (!found || found->token.empty()) {
        return found;
    }
    if (!is_well_formed(found->token.expose())) {
        return fail(
            Errc::invalid_argument,
            fmt::format(
                "Failed to load API token: {} starts with rbee_ but is not a token of rbee; is it "
                "complete?",
                found->path.empty() ? found->source : found->path
            )
        );
    }
    if (found->token.size() < token_bytes_min) {
        found->warnings.push_back(
            fmt::format("the API token has fewer than {} characters", token_bytes_min)
        );
    }
    return found;
}

Secret take_from_environment(char** block, const char* name) {
    const std::size_t length = std::strlen(name);
    Secret out;
    for (char** variable = block; variable != nullptr && *variable != nullptr; ++variable) {
        char* text = *variable;
        if (std::strncmp(text, name, length) == 0 && text[length] == '=') {
            const std::string_view value = text + length + 1;
            out = Secret::copy_of(value);
            OPENSSL_cleanse(text + length + 1, value.size());
            break;
        }
    }
    ::unsetenv(name); // NOLINT(concurrency-mt-unsafe): no other thread runs yet
    return out;
}

Result<void> check_bind(const http::Endpoint& endpoint, const Secret& token) {
    if (http::is_loopback(endpoint)) {
        return {};
    }
    if (token.empty()) {
        return fail(Errc::invalid_argument, "API token required for non-loopback bind");
    }
    if (token.size() < token_bytes_min) {
        return fail(
            Errc::invalid_argument,
            fmt::format(
                "API token too short for non-loopback bind: {} characters at least", token_bytes_min
            )
        );
    }
    return {};
}

} // namespace rbee::auth
