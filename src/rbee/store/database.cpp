#include "rbee/store/database.hpp"

#include <cstdint>
#include <filesystem>
#include <system_error>

namespace rbee::store {
namespace {

Result<void> make_folder(const std::string& path) {
    const auto folder = std::filesystem::path(path).parent_path();
    std::error_code error;
    if (folder.empty() || std::filesystem::exists(folder, error)) {
        return {};
    }
    if (std::filesystem::create_directories(folder, error)) {
        std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
    }
    if (error) {
        return fail(Errc::io, "cannot create " + folder.string() + ": " + error.message());
    }
    return {};
}

Result<void> check(Connection& connection) {
    Result<Statement> statement = connection.prepare("PRAGMA quick_check(1)");
    if (!statement) {
        return error_of(statement);
    }
    const Result<bool> row = statement->step();
    if (!row) {
        return error_of(row);
    }
    if (!*row || statement->text(0) != "ok") {
        return fail(Errc::corrupt, "the database is damaged: " + statement->text(0));
    }
    return {};
}

Result<std::int64_t> version_of(Connection& connection) {
    Result<Statement> statement = connection.prepare("PRAGMA user_version");
    if (!statement) {
        return error_of(statement);
    }
    const Result<bool> row = statement->step();
    if (!row) {
        return error_of(row);
    }
    return *row ? statement->integer(0) : 0;
}

Result<void> migrate(Connection& connection, const Migrations& migrations) {
    const Result<std::int64_t> version = version_of(connection);
    if (!version) {
        return error_of(version);
    }
    const auto newest = static_cast<std::int64_t>(migrations.size());
    if (*version < 0 || *version > newest) {
        return fail(
            Errc::unsupported,
            "the database has version " + std::to_string(*version) + ", this program knows up to " +
                std::to_string(newest)
        );
    }
    for (std::int64_t at = *version; at < newest; ++at) {
        const std::string next = std::to_string(at + 1);
        // The version changes in the same transaction, so a step is done or not begun.
        auto stepped = connection.transaction([&]() -> Result<void> {
            if (auto ran = connection.script(migrations[static_cast<std::size_t>(at)]); !ran) {
                return ran;
            }
            return connection.script("PRAGMA user_version = " + next);
        });
        if (!stepped) {
            return std::unexpected(stepped.error().within("migration " + next));
        }
    }
    return {};
}

} // namespace

Result<std::unique_ptr<Database>>
Database::open(const std::string& path, const Migrations& migrations) {
    if (auto made = make_folder(path); !made) {
        return error_of(made);
    }
    Result<Connection> connection = Connection::open(path);
    if (!connection) {
        return error_of(connection);
    }
    if (auto checked = check(*connection); !checked) {
        return std::unexpected(checked.error().within(path));
    }
    if (auto migrated = migrate(*connection, migrations); !migrated) {
        return std::unexpected(migrated.error().within(path));
    }
    return std::unique_ptr<Database>(new Database(std::move(*connection)));
}

} // namespace rbee::store
