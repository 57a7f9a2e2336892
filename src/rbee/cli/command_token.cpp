#include "rbee/auth/token.hpp"
#include "rbee/auth/token_store.hpp"
#include "rbee/cli/commands.hpp"
#include "rbee/cli/daemon.hpp"
#include "rbee/cli/table.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

namespace rbee::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

json::array scopes_json(auth::Scopes scopes) {
    json::array out;
    for (const std::string& name : scopes.names()) {
        out.emplace_back(name);
    }
    return out;
}

json::value time_json(const std::optional<WallTime>& time) {
    return time ? json::value(to_rfc3339(*time)) : json::value();
}

json::object record_json(const auth::TokenRecord& record) {
    return {
        {"name", record.name},
        {"scopes", scopes_json(record.scopes)},
        {"fingerprint", auth::fingerprint(record.digest)},
        {"created", time_json(record.created)},
        {"expires", time_json(record.expires)},
    };
}

std::string tokens_file(const Context& context) {
    return (context.settings().home / "tokens.toml").string();
}

/// Makes a token, keeps its digest and prints it, which nobody can do again.
class TokenNew final : public Command {
public:
    TokenNew(Context& context, TokenNewOptions options)
        : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override {
        const auto scopes = auth::parse_scopes(options_.scopes);
        if (!scopes) {
            co_return error_of(scopes);
        }
        if (const auto made = make_private_folder(context_.settings().home); !made) {
            co_return error_of(made);
        }
        const Secret token = auth::make_token();
        auth::TokenRecord record = auth::make_record(options_.name, token, *scopes);
        record.created = context_.clock().wall();
        if (options_.expires) {
            record.expires = *record.created + *options_.expires;
        }
        const std::string path = tokens_file(context_);
        if (const auto added = auth::add_token(path, record); !added) {
            co_return error_of(added);
        }
        if (context_.options().json) {
            json::object out = record_json(record);
            out["token"] = token.expose();
            out["file"] = path;
            context_.print_json(out);
            co_return 0;
        }
        context_.console().out(std::string(token.expose()) + "\n");
        context_.console().status(
            "token",
            fmt::format(
                "{} may {}; keep it now, it cannot be shown again",
                record.name,
                scopes->to_string(", ")
            )
        );
        co_return 0;
    }

private:
    Context& context_;
    TokenNewOptions options_;
};

class TokenList final : public Command {
public:
    explicit TokenList(Context& context) : context_(context) {}

    asio::awaitable<Result<int>> run() override {
        auto tokens = auth::read_tokens(tokens_file(context_));
        if (!tokens && tokens.error().code == Errc::not_found) {
            tokens = auth::TokenSet();
        }
        if (!tokens) {
            co_return error_of(tokens);
        }
        if (context_.options().json) {
            json::array rows;
            for (const auth::TokenRecord& record : tokens->records()) {
                rows.emplace_back(record_json(record));
            }
            context_.print_json({{"tokens", std::move(rows)}});
        } else if (tokens->empty()) {
            context_.console().out("no named tokens; make one with 'rbee token new NAME'\n");
        } else {
            show(*tokens);
        }
        co_return 0;
    }

private:
    void show(const auth::TokenSet& tokens) {
        const WallTime now = context_.clock().wall();
        Table table({{"NAME"}, {"SCOPES"}, {"FINGERPRINT"}, {"CREATED"}, {"EXPIRES"}});
        for (const auth::TokenRecord& record : tokens.records()) {
            table.add({
                record.name,
                record.scopes.to_string(),
                auth::fingerprint(record.digest),
                record.created ? age_of(to_rfc3339(*record.created), now) : "-",
                left_of(record.expires, now),
            });
        }
        context_.console().out(table.render(context_.console()));
    }

    static std::string left_of(const std::optional<WallTime>& expires, WallTime now) {
        if (!expires) {
            return "never";
        }
        const auto left = std::chrono::duration_cast<std::chrono::seconds>(*expires - now);
        return left.count() > 0 ? "in " + human_duration(left) : "expired";
    }

    Context& context_;
};

class TokenRevoke final : public Command {
public:
    TokenRevoke(Context& context, TokenRevokeOptions options)
        : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override {
        const auto removed = auth::remove_token(tokens_file(context_), options_.name);
        if (!removed) {
            co_return error_of(removed);
        }
        if (context_.options().json) {
            context_.print_json({{"name", options_.name}, {"revoked", true}});
        } else {
            context_.console().out(fmt::format("revoked {}\n", options_.name));
        }
        co_return 0;
    }

private:
    Context& context_;
    TokenRevokeOptions options_;
};

} // namespace

std::unique_ptr<Command> make_token_new(Context& context, TokenNewOptions options) {
    return std::make_unique<TokenNew>(context, std::move(options));
}

std::unique_ptr<Command> make_token_list(Context& context) {
    return std::make_unique<TokenList>(context);
}

std::unique_ptr<Command> make_token_revoke(Context& context, TokenRevokeOptions options) {
    return std::make_unique<TokenRevoke>(context, std::move(options));
}

} // namespace rbee::cli
