#pragma once

#include "rbee/base/result.hpp"
#include "rbee/store/database.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rbee::queen {

/// A row of the node registry (behaviour.md 3.5). A hive that was added by its URL has its host
/// there, too, and empty texts for the rest.
struct Node {
    std::string name;
    std::string url;      ///< Where the hive is reached.
    bool managed = false; ///< Started by this queen.
    std::string ssh_host;
    std::uint16_t ssh_port = 22;
    std::string ssh_user;
    std::optional<std::string> ssh_key_path;
    std::string git_repo_url;
    std::string git_branch = "main";
    std::string install_path;
    std::optional<std::int64_t> last_connected_unix;
    std::string status = "unknown";      ///< unknown, reachable, unreachable or offline.
    std::optional<std::string> backends; ///< JSON array as text.
    std::optional<std::string> devices;  ///< JSON object as text.
    std::optional<std::string> last_error;

    bool operator==(const Node&) const = default;
};

/// A node that is known by its URL only.
[[nodiscard]] Result<Node> node_at(const std::string& name, const std::string& url);

/// All columns.
[[nodiscard]] boost::json::object to_json(const Node& node);

/// The node registry on disk. What an awaited call has acknowledged survives a crash. Belongs to
/// the event loop; the database must outlive it.
class NodeStore {
public:
    /// The tables, for Database::open().
    [[nodiscard]] static store::Migrations migrations();

    explicit NodeStore(store::Database& database) : database_(database) {}

    /// Every node, by name.
    [[nodiscard]] boost::asio::awaitable<Result<std::vector<Node>>> list();
    /// Fails with Errc::conflict when the name is taken.
    [[nodiscard]] boost::asio::awaitable<Result<void>> add(Node node);
    /// Adds or replaces.
    [[nodiscard]] boost::asio::awaitable<Result<void>> put(Node node);
    /// Adds the node, or notes that a known one was reached at this URL and keeps the rest of it.
    [[nodiscard]] boost::asio::awaitable<Result<void>> note_contact(Node node);
    /// False when there was none.
    [[nodiscard]] boost::asio::awaitable<Result<bool>> remove(std::string name);
    /// Notes how the last contact went.
    [[nodiscard]] boost::asio::awaitable<Result<void>>
    note_status(std::string name, std::string status, std::optional<std::int64_t> connected_unix);

private:
    store::Database& database_;
};

} // namespace rbee::queen
