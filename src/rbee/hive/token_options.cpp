#include "rbee/hive/token_options.hpp"

#include "rbee/auth/token_file.hpp"
#include "rbee/auth/token_source.hpp"
#include "rbee/base/unique_fd.hpp"

#include <string>
#include <utility>

namespace rbee::hive {
namespace {

/// The token that this hive accepts, and everything needed to find it again.
Result<void> fill_own_token(
    const OptionValues& values,
    const TokenArguments& arguments,
    const Surroundings& around,
    Settings& settings
) {
    auth::TokenSources sources;
    sources.fd = arguments.token_fd;
    // LLORCH_API_TOKEN_FILE is another source, behind the credentials of systemd.
    sources.file = arguments.file_flag ? values.text("token-file") : "";
    sources.configured_file = arguments.file_flag ? "" : values.text("token-file");
    sources.environment = around.environment;
    sources.from_environment = around.token.clone();
    if (const auto paths = config::Paths::from(around.environment)) {
        sources.home_file = paths->data_dir() + "/token";
    }
    auto found = auth::find_token(std::move(sources));
    if (!found) {
        return error_of(found);
    }
    settings.tokens.own = std::move(*found);
    settings.tokens.named = values.text("tokens-file");
    settings.tokens.named_required = !settings.tokens.named.empty();
    return {};
}

/// The token that this hive sends to its queen, where it is another one.
Result<void>
fill_queen_token(const OptionValues& values, const TokenArguments& arguments, Settings& settings) {
    if (arguments.queen_token_fd) {
        const UniqueFd fd(*arguments.queen_token_fd);
        auto handed = auth::load_token_fd(fd.get(), "--queen-token-fd");
        if (!handed) {
            return error_of(handed);
        }
        settings.queen_token = std::move(*handed);
        settings.accept_queen_token = true;
        return {};
    }
    settings.tokens.outgoing = values.text("queen-token-file");
    if (settings.tokens.outgoing.empty()) {
        return {};
    }
    settings.queen_token.clear(); // that of the join, which this replaces
    const auto usable = auth::load_token_file(settings.tokens.outgoing);
    return usable ? Result<void>() : error_of(usable);
}

} // namespace

Result<void> fill_tokens(
    const OptionValues& values,
    const TokenArguments& arguments,
    const Surroundings& around,
    Settings& settings
) {
    const auto metrics_auth = values.on("metrics-auth");
    const auto core_dumps = values.on("core-dumps");
    for (const Result<void>& result : {
             fill_own_token(values, arguments, around, settings),
             fill_queen_token(values, arguments, settings),
             metrics_auth ? Result<void>() : error_of(metrics_auth),
             core_dumps ? Result<void>() : error_of(core_dumps),
         }) {
        if (!result) {
            return result;
        }
    }
    settings.metrics_auth = *metrics_auth;
    settings.core_dumps = *core_dumps;
    auth::FoundToken& own = settings.tokens.own;
    if (own.token.empty() && settings.queen_digest) {
        own.token = settings.queen_token.clone();
        own.source = "joined queen";
    }
    if (settings.join) {
        return {}; // decided at the start that follows
    }
    return auth::check_bind(settings.listen, own.token);
}

} // namespace rbee::hive
