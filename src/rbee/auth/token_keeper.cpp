#include "rbee/auth/token_keeper.hpp"

#include "rbee/auth/token_changes.hpp"
#include "rbee/auth/token_file.hpp"
#include "rbee/auth/token_store.hpp"
#include "rbee/runtime/file_watch.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace rbee::auth {

Result<void> TokenKeeper::load() {
    Secret outgoing;
    if (!kept_.outgoing.empty()) {
        auto read = load_token_file(kept_.outgoing);
        if (!read) {
            return error_of(read);
        }
        outgoing = std::move(*read);
    }
    const TokenFiles files{
        .own = kept_.own.path,
        .credential = kept_.own.credential,
        .named = kept_.named,
        .named_required = kept_.named_required,
    };
    auto loaded = load_tokens(with_.authenticator, files, kept_.own.token);
    if (!loaded) {
        return error_of(loaded);
    }
    kept_.own.token = std::move(loaded->own);
    take(std::move(loaded->records));
    if (loaded_) {
        loaded_(kept_.outgoing.empty() ? kept_.own.token.clone() : std::move(outgoing));
    }
    return {};
}

void TokenKeeper::take(std::vector<TokenRecord> records) {
    if (with_.audit != nullptr && loaded_once_) {
        record_changes(*with_.audit, records_, records);
    }
    loaded_once_ = true;
    records_ = std::move(records);
}

void TokenKeeper::reload() {
    if (const auto done = load(); !done) {
        with_.log.error("reload_failed", done.error().what, {{"part", "tokens"}});
        return;
    }
    with_.log.info("token_reloaded", "API token reloaded", {{"tokens", names()}});
}

boost::asio::awaitable<void> TokenKeeper::watch() {
    runtime::FileWatch files(with_.timers, {kept_.own.path, kept_.named, kept_.outgoing});
    if (!files.complete()) {
        with_.log.warn("tokens_not_watched", "changed token files are read after SIGHUP only");
    }
    while (true) {
        co_await files.changed();
        reload();
    }
}

void TokenKeeper::tell() const {
    if (with_.authenticator.open()) {
        with_.log.warn("dev_mode", "dev mode without a token: every local client is allowed");
        return;
    }
    for (const std::string& warning : kept_.own.warnings) {
        with_.log.warn("token_source", warning);
    }
    with_.log.info(
        "auth_enabled",
        "a bearer token is required",
        {{"source", kept_.own.source}, {"tokens", names()}}
    );
}

std::string TokenKeeper::names() const {
    std::vector<std::string_view> all;
    all.reserve(records_.size());
    for (const TokenRecord& record : records_) {
        all.push_back(record.name);
    }
    return fmt::format("{}", fmt::join(all, ","));
}

} // namespace rbee::auth
