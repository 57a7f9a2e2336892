#include "rbee/store/connection.hpp"

#include "rbee/base/unique_fd.hpp"
#include "rbee/store/sqlite_error.hpp"

#include <fcntl.h>
#include <sqlite3.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace rbee::store {
namespace {

/// How long another process (a backup, a shell) may hold the database.
constexpr int busy_timeout_ms = 5000;

Errc kind_of(int code) {
    switch (code & 0xFF) {
    case SQLITE_CONSTRAINT:
        return Errc::conflict;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return Errc::busy;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
        return Errc::resources;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return Errc::corrupt;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return Errc::io;
    case SQLITE_TOOBIG:
        return Errc::too_large;
    default:
        return Errc::internal;
    }
}

} // namespace

Error detail::error_from(sqlite3* database, std::string_view doing) {
    return {
        kind_of(sqlite3_extended_errcode(database)),
        std::string(doing) + ": " + sqlite3_errmsg(database)
    };
}

void Connection::Close::operator()(sqlite3* database) const {
    sqlite3_close_v2(database);
}

Result<Connection> Connection::open(const std::string& path) {
    {
        // SQLite would use the umask's mode; its other files copy the mode of this one.
        const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (!file.valid()) {
            return fail(
                Errc::io, "cannot open " + path + ": " + std::generic_category().message(errno)
            );
        }
    }
    sqlite3* raw = nullptr;
    // One thread at a time uses it, so SQLite need not lock.
    const int opened =
        sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    Connection connection(raw);
    if (opened != SQLITE_OK) {
        return std::unexpected(detail::error_from(raw, "cannot open " + path));
    }
    sqlite3_extended_result_codes(raw, 1);
    sqlite3_busy_timeout(raw, busy_timeout_ms);
    auto prepared = connection.script(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
        "PRAGMA trusted_schema = OFF"
    );
    if (!prepared) {
        return std::unexpected(prepared.error().within("cannot open " + path));
    }
    return connection;
}

Result<Statement> Connection::prepare(std::string_view sql) {
    sqlite3_stmt* raw = nullptr;
    const int prepared = sqlite3_prepare_v2(
        database_.get(), sql.data(), static_cast<int>(sql.size()), &raw, nullptr
    );
    if (prepared != SQLITE_OK) {
        return std::unexpected(detail::error_from(database_.get(), "cannot prepare a statement"));
    }
    return Statement(database_.get(), raw);
}

Result<void> Connection::script(const std::string& sql) {
    if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
        return std::unexpected(detail::error_from(database_.get(), "a statement failed"));
    }
    return {};
}

Result<void> Connection::drain(Statement& statement) {
    while (true) {
        const Result<bool> row = statement.step();
        if (!row) {
            return error_of(row);
        }
        if (!*row) {
            return {};
        }
    }
}

std::int64_t Connection::changes() const {
    return sqlite3_changes64(database_.get());
}

std::int64_t Connection::last_insert_id() const {
    return sqlite3_last_insert_rowid(database_.get());
}

void Connection::abandon() {
    if (sqlite3_get_autocommit(database_.get()) == 0) {
        sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    }
}

} // namespace rbee::store
