#include "rbee/auth/token_store.hpp"

#include "rbee/auth/secret_file.hpp"
#include "rbee/auth/token_file.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/config/toml_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace rbee::auth {
namespace {

constexpr WallTime latest_time =
    std::chrono::sys_days(std::chrono::year(2261) / std::chrono::December / std::chrono::day(31));

const SecretFileRules file_rules{.what = "Token file"};

/// Reads one `[[token]]`; remembers the first thing that is wrong.
class RecordReader {
public:
    RecordReader(config::TomlFile& file, std::size_t index)
        : file_(file), prefix_(fmt::format("token[{}].", index)) {}

    [[nodiscard]] Result<TokenRecord> read() {
        TokenRecord record;
        record.name = text("name").value_or("");
        if (const auto good = check_token_name(record.name); !good) {
            wrong("name", good.error().what);
        }
        record.digest = digest();
        record.scopes = scopes();
        record.created = time("created");
        record.expires = time("expires");
        if (error_) {
            return std::unexpected(*error_);
        }
        return record;
    }

private:
    template <typename T>
    std::optional<T> get(const char* field) {
        auto value = file_.get<T>(prefix_ + field);
        if (!value) {
            keep(value.error());
            return std::nullopt;
        }
        return std::move(*value);
    }
    std::optional<std::string> text(const char* field) { return get<std::string>(field); }

    Sha256 digest() {
        const auto hex = text("sha256");
        const auto parsed = hex ? parse_sha256(*hex) : std::nullopt;
        if (!parsed) {
            wrong("sha256", "must be 64 hexadecimal digits");
        }
        return parsed.value_or(Sha256{});
    }

    Scopes scopes() {
        const auto names = get<std::vector<std::string>>("scopes");
        const auto parsed = parse_scopes(names.value_or(std::vector<std::string>()));
        if (!parsed) {
            wrong("scopes", parsed.error().what);
            return {};
        }
        return *parsed;
    }

    std::optional<WallTime> time(const char* field) {
        const auto written = text(field);
        if (!written) {
            return std::nullopt;
        }
        const auto parsed = parse_rfc3339(*written);
        // What is read must be written and read again: an offset may lead out of what can be.
        if (!parsed || *parsed < WallTime() || *parsed >= latest_time) {
            wrong(field, "must be a date and time such as 2026-01-31T08:00:00Z");
            return std::nullopt;
        }
        return parsed;
    }

    void wrong(const char* field, const std::string& what) {
        keep(
            {Errc::invalid_argument,
             fmt::format("{}: {}{}: {}", file_.name(), prefix_, field, what),
             {}}
        );
    }
    void keep(Error error) {
        if (!error_) {
            error_ = std::move(error);
        }
    }

    config::TomlFile& file_;
    std::string prefix_;
    std::optional<Error> error_;
};

Result<void> check_unique(const std::vector<TokenRecord>& records, const std::string& file) {
    std::set<std::string_view> names;
    std::set<Sha256> digests;
    for (const TokenRecord& record : records) {
        if (!names.insert(record.name).second || !digests.insert(record.digest).second) {
            return fail(
                Errc::invalid_argument,
                fmt::format("{}: the token {} is there twice", file, record.name)
            );
        }
    }
    return {};
}

/// Runs `change` on what is in the file while no other writer can.
Result<void> edit(
    const std::string& path,
    const std::function<Result<void>(std::vector<TokenRecord>& records)>& change
) {
    const std::string lock_path = path + ".lock";
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): open has no other form
    const UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock.valid() || ::flock(lock.get(), LOCK_EX) != 0) {
        const int error = errno;
        return fail(
            Errc::io,
            fmt::format("cannot lock {}: {}", lock_path, std::generic_category().message(error))
        );
    }
    const auto before = read_tokens(path);
    if (!before && before.error().code != Errc::not_found) {
        return error_of(before);
    }
    auto records = before ? before->records() : std::vector<TokenRecord>();
    if (auto changed = change(records); !changed) {
        return changed;
    }
    return write_secret_file(path, format_tokens(TokenSet(std::move(records))));
}

} // namespace

Result<void> check_token_name(std::string_view name) {
    constexpr std::string_view allowed =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
    if (name.empty() || name.size() > token_name_bytes_max ||
        name.find_first_not_of(allowed) != std::string_view::npos) {
        return fail(
            Errc::invalid_argument,
            fmt::format(
                "the name of a token has 1 to {} letters, digits, '_', '-' and '.'",
                token_name_bytes_max
            )
        );
    }
    if (name == own_token_name || name == "dev") {
        return fail(Errc::invalid_argument, "'main' and 'dev' cannot be names of tokens");
    }
    return {};
}

Result<TokenSet> parse_tokens(std::string_view text, std::string name) {
    auto file = config::TomlFile::parse(text, std::move(name));
    if (!file) {
        return error_of(file);
    }
    const std::size_t count = file->count("token");
    if (count > named_tokens_max) {
        return fail(
            Errc::too_large, fmt::format("{}: more than {} tokens", file->name(), named_tokens_max)
        );
    }
    std::vector<TokenRecord> records;
    for (std::size_t i = 0; i < count; ++i) {
        auto record = RecordReader(*file, i).read();
        if (!record) {
            return error_of(record);
        }
        records.push_back(std::move(*record));
    }
    if (const auto known = file->check_unknown(); !known) {
        return error_of(known);
    }
    if (const auto unique = check_unique(records, file->name()); !unique) {
        return error_of(unique);
    }
    return TokenSet(std::move(records));
}

Result<TokenSet> read_tokens(const std::string& path) {
    const auto content = read_secret_file(path, file_rules);
    if (!content) {
        return error_of(content);
    }
    return parse_tokens(content->expose(), path);
}

std::string format_tokens(const TokenSet& tokens) {
    std::string out = "# Written by `rbee token`: digests, no tokens.\n";
    for (const TokenRecord& record : tokens.records()) {
        fmt::format_to(
            std::back_inserter(out),
            "\n[[token]]\nname = \"{}\"\nscopes = [\"{}\"]\nsha256 = \"{}\"\n",
            record.name,
            record.scopes.to_string("\", \""),
            to_hex(record.digest)
        );
        if (record.created) {
            out += "created = \"" + to_rfc3339(*record.created) + "\"\n";
        }
        if (record.expires) {
            out += "expires = \"" + to_rfc3339(*record.expires) + "\"\n";
        }
    }
    return out;
}

Result<void> add_token(const std::string& path, TokenRecord record) {
    if (auto good = check_token_name(record.name); !good) {
        return good;
    }
    return edit(path, [&](std::vector<TokenRecord>& records) -> Result<void> {
        if (std::ranges::find(records, record.name, &TokenRecord::name) != records.end()) {
            return fail(
                Errc::conflict,
                fmt::format("there is a token {} already", record.name),
                "TOKEN_EXISTS"
            );
        }
        if (records.size() >= named_tokens_max) {
            return fail(Errc::too_large, fmt::format("{} tokens are enough", named_tokens_max));
        }
        records.push_back(std::move(record));
        return {};
    });
}

Result<void> remove_token(const std::string& path, std::string_view name) {
    return edit(path, [&](std::vector<TokenRecord>& records) -> Result<void> {
        const auto is_it = [&](const TokenRecord& record) { return record.name == name; };
        if (std::erase_if(records, is_it) == 0) {
            return fail(Errc::not_found, "there is no token of that name", "TOKEN_NOT_FOUND");
        }
        return {};
    });
}

Result<LoadedTokens>
load_tokens(Authenticator& authenticator, const TokenFiles& files, const Secret& own) {
    LoadedTokens out;
    if (files.own.empty()) {
        out.own = own.clone();
    } else {
        auto loaded =
            load_token_file(files.own, {.what = "API token file", .credential = files.credential});
        if (!loaded) {
            return error_of(loaded);
        }
        out.own_changed = !own.equals(loaded->expose());
        out.own = std::move(*loaded);
    }
    std::vector<TokenRecord> records;
    if (!out.own.empty()) {
        records.push_back(make_record(std::string(own_token_name), out.own, Scopes::all()));
    }
    bool have_file = false;
    if (!files.named.empty()) {
        const auto named = read_tokens(files.named);
        have_file = named.has_value();
        if (!named && (files.named_required || named.error().code != Errc::not_found)) {
            return error_of(named);
        }
        if (named) {
            records.insert(records.end(), named->records().begin(), named->records().end());
            out.named = named->records().size();
        }
    }
    for (const TokenRecord& record : records) {
        out.names.push_back(record.name);
    }
    out.records = records;
    if (!records.empty() || have_file || !authenticator.open()) {
        authenticator.replace(TokenSet(std::move(records)));
    }
    return out;
}

} // namespace rbee::auth
