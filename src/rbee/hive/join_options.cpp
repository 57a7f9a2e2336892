#include "rbee/hive/join_options.hpp"

#include "rbee/base/secret.hpp"
#include "rbee/config/paths.hpp"
#include "rbee/hive/join.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace rbee::hive {
namespace {

/// Takes over what the queen gave when this hive joined her.
Result<void> use_joined(const OptionValues& values, const JoinFolder& folder, Settings& settings) {
    auto found = read_joined(folder);
    if (!found) {
        return error_of(found);
    }
    auto& joined = *found;
    if (!joined) {
        return {};
    }
    if (values.text("node-name", joined->name) != joined->name) {
        return fail(
            Errc::invalid_argument,
            fmt::format(
                "this hive has joined as {}: start it without another --node-name, or remove {} "
                "and join again",
                joined->name,
                folder.path.string()
            )
        );
    }
    settings.node_name = joined->name;
    settings.queen = settings.queen ? std::move(settings.queen) : joined->queen;
    settings.queen_token = std::move(joined->token);
    settings.queen_digest = joined->queen_token;
    settings.tls = settings.tls.on() ? std::move(settings.tls) : folder.tls();
    return {};
}

Result<void> order_join(
    const OptionValues& values,
    const Surroundings& around,
    const JoinFolder& folder,
    Settings& settings
) {
    auto queen = http::parse_endpoint(values.text("join"));
    if (!queen) {
        return std::unexpected(queen.error().within("join"));
    }
    Secret token(values.text("join-token"));
    if (token.empty()) {
        return fail(
            Errc::invalid_argument, "join needs --join-token: `rbee hives invite NAME` makes one"
        );
    }
    http::Endpoint reached = settings.listen;
    std::string host_name = around.host_name;
    if (!settings.public_url.empty()) {
        reached = *http::parse_endpoint(settings.public_url);
        host_name = reached.host;
    }
    settings.join.emplace(
        std::move(*queen),
        std::move(token),
        values.text("node-name").empty() ? std::nullopt : std::optional(settings.node_name),
        own_hosts(reached, host_name),
        folder
    );
    return {};
}

} // namespace

Result<void> fill_tls(const OptionValues& values, Settings& settings) {
    settings.tls = {
        .certificate = values.text("tls-cert"),
        .key = values.text("tls-key"),
        .ca = values.text("tls-ca")
    };
    return pki::check_tls_files(settings.tls);
}

Result<void> fill_join(const OptionValues& values, const Surroundings& around, Settings& settings) {
    const auto paths = config::Paths::from(around.environment);
    // A queen who starts the hive of her own machine speaks with it in the clear.
    if (!paths || settings.lifeline.valid()) {
        return {};
    }
    const JoinFolder folder{std::filesystem::path(paths->data_dir()) / "hive"};
    auto used = use_joined(values, folder, settings);
    if (!used || settings.queen_digest || values.text("join").empty()) {
        return used;
    }
    return order_join(values, around, folder, settings);
}

} // namespace rbee::hive
