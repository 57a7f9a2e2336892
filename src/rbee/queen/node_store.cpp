#include "rbee/queen/node_store.hpp"

#include "rbee/http/url.hpp"
#include "rbee/queen/invite_store.hpp"

#include <string_view>
#include <utility>

namespace rbee::queen {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::string_view columns =
    "node_name, url, managed, ssh_host, ssh_port, ssh_user, ssh_key_path, git_repo_url, "
    "git_branch, "
    "install_path, last_connected_unix, status, backends, devices, last_error";

Node node_of(const store::Statement& row) {
    Node node;
    node.name = row.text(0);
    node.url = row.text(1);
    node.managed = row.integer(2) != 0;
    node.ssh_host = row.text(3);
    node.ssh_port = static_cast<std::uint16_t>(row.integer(4));
    node.ssh_user = row.text(5);
    node.ssh_key_path = row.optional_text(6);
    node.git_repo_url = row.text(7);
    node.git_branch = row.text(8);
    node.install_path = row.text(9);
    node.last_connected_unix = row.optional_integer(10);
    node.status = row.text(11);
    node.backends = row.optional_text(12);
    node.devices = row.optional_text(13);
    node.last_error = row.optional_text(14);
    return node;
}

Result<void> write(
    store::Connection& connection,
    std::string_view verb,
    const Node& node,
    std::string_view on_conflict = ""
) {
    const std::string sql = std::string(verb) + " INTO beehives (" + std::string(columns) +
                            ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)" + std::string(on_conflict);
    return connection.execute(
        sql,
        node.name,
        node.url,
        node.managed ? 1 : 0,
        node.ssh_host,
        std::int64_t{node.ssh_port},
        node.ssh_user,
        node.ssh_key_path,
        node.git_repo_url,
        node.git_branch,
        node.install_path,
        node.last_connected_unix,
        node.status,
        node.backends,
        node.devices,
        node.last_error
    );
}

json::value or_null(const std::optional<std::string>& text) {
    return text ? json::value(*text) : json::value(nullptr);
}

} // namespace

store::Migrations NodeStore::migrations() {
    return {
        "CREATE TABLE beehives ("
        " node_name TEXT PRIMARY KEY,"
        " ssh_host TEXT NOT NULL,"
        " ssh_port INTEGER NOT NULL DEFAULT 22,"
        " ssh_user TEXT NOT NULL,"
        " ssh_key_path TEXT,"
        " git_repo_url TEXT NOT NULL,"
        " git_branch TEXT NOT NULL DEFAULT 'main',"
        " install_path TEXT NOT NULL,"
        " last_connected_unix INTEGER,"
        " status TEXT DEFAULT 'unknown',"
        " backends TEXT,"
        " devices TEXT,"
        " last_error TEXT,"
        " url TEXT,"
        " managed INTEGER NOT NULL DEFAULT 0)",
        std::string(InviteStore::migration()),
    };
}

Result<Node> node_at(const std::string& name, const std::string& url) {
    const auto endpoint = http::parse_endpoint(url);
    if (!endpoint) {
        return error_of(endpoint);
    }
    Node node;
    node.name = name;
    node.url = url;
    node.ssh_host = endpoint->unix_path.empty() ? endpoint->host : "localhost";
    return node;
}

json::object to_json(const Node& node) {
    return {
        {"node_name", node.name},
        {"url", node.url},
        {"managed", node.managed},
        {"ssh_host", node.ssh_host},
        {"ssh_port", node.ssh_port},
        {"ssh_user", node.ssh_user},
        {"ssh_key_path", or_null(node.ssh_key_path)},
        {"git_repo_url", node.git_repo_url},
        {"git_branch", node.git_branch},
        {"install_path", node.install_path},
        {"last_connected_unix",
         node.last_connected_unix ? json::value(*node.last_connected_unix) : json::value(nullptr)},
        {"status", node.status},
        {"backends", or_null(node.backends)},
        {"devices", or_null(node.devices)},
        {"last_error", or_null(node.last_error)},
    };
}

asio::awaitable<Result<std::vector<Node>>> NodeStore::list() {
    auto nodes =
        co_await database_.run([](store::Connection& connection) -> Result<std::vector<Node>> {
            auto rows = connection.prepare(
                "SELECT " + std::string(columns) + " FROM beehives ORDER BY node_name"
            );
            if (!rows) {
                return error_of(rows);
            }
            std::vector<Node> out;
            while (true) {
                const auto more = rows->step();
                if (!more) {
                    return error_of(more);
                }
                if (!*more) {
                    return out;
                }
                out.push_back(node_of(*rows));
            }
        });
    co_return nodes;
}

asio::awaitable<Result<void>> NodeStore::add(Node node) {
    auto added = co_await database_.run([node = std::move(node)](store::Connection& connection) {
        return write(connection, "INSERT", node);
    });
    if (!added && added.error().code == Errc::conflict) {
        co_return fail(
            Errc::conflict,
            "a hive of this name is registered; remove or update it",
            "NODE_ALREADY_REGISTERED"
        );
    }
    co_return added;
}

asio::awaitable<Result<void>> NodeStore::put(Node node) {
    auto stored = co_await database_.run([node = std::move(node)](store::Connection& connection) {
        return write(connection, "INSERT OR REPLACE", node);
    });
    co_return stored;
}

asio::awaitable<Result<void>> NodeStore::note_contact(Node node) {
    auto stored = co_await database_.run([node = std::move(node)](store::Connection& connection) {
        return write(
            connection,
            "INSERT",
            node,
            " ON CONFLICT(node_name) DO UPDATE SET url = excluded.url, managed = excluded.managed,"
            " status = excluded.status, last_connected_unix = excluded.last_connected_unix"
        );
    });
    co_return stored;
}

asio::awaitable<Result<bool>> NodeStore::remove(std::string name) {
    auto removed = co_await database_.run(
        [name = std::move(name)](store::Connection& connection) -> Result<bool> {
            const auto done = connection.execute("DELETE FROM beehives WHERE node_name = ?", name);
            if (!done) {
                return error_of(done);
            }
            return connection.changes() != 0;
        }
    );
    co_return removed;
}

asio::awaitable<Result<void>> NodeStore::note_status(
    std::string name, std::string status, std::optional<std::int64_t> connected_unix
) {
    auto noted = co_await database_.run([name = std::move(name),
                                         status = std::move(status),
                                         connected_unix](store::Connection& connection) {
        return connection.execute(
            "UPDATE beehives SET status = ?, last_connected_unix = coalesce(?, last_connected_unix)"
            " WHERE node_name = ?",
            status,
            connected_unix,
            name
        );
    });
    co_return noted;
}

} // namespace rbee::queen
