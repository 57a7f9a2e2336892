#pragma once

#include "rbee/base/result.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace rbee::config {

/// Gives the value of an environment variable; apps/ passes the real one in. An empty value counts
/// as not set.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;

/// Where the programs keep their files.
class Paths {
public:
    /// RBEE_HOME, or else ~/.rbee. Errc::invalid_argument when neither RBEE_HOME nor HOME is set or
    /// one of them is not absolute.
    [[nodiscard]] static Result<Paths> from(const Environment& environment);

    [[nodiscard]] const std::string& data_dir() const { return data_dir_; }
    [[nodiscard]] std::string models_dir() const { return data_dir_ + "/models"; }
    [[nodiscard]] std::string logs_dir() const { return data_dir_ + "/logs"; }
    [[nodiscard]] std::string run_dir() const { return data_dir_ + "/run"; }
    [[nodiscard]] std::string tokens_dir() const { return data_dir_ + "/tokens"; }
    /// The database of one program, such as "queen".
    [[nodiscard]] std::string database(std::string_view program) const;

private:
    explicit Paths(std::string data_dir) : data_dir_(std::move(data_dir)) {}
    std::string data_dir_;
};

/// The configuration file of a program such as "queen": RBEE_QUEEN_CONFIG (taken even when it does
/// not exist, so that a mistake shows), queen.toml in $XDG_CONFIG_HOME/rbee or ~/.config/rbee, and
/// in /etc/rbee; nothing when there is none. The variable has the program's name in it because one
/// program starts the next with its own environment.
struct ConfigQuery {
    const Environment& environment;
    std::string_view program;
};
[[nodiscard]] std::optional<std::string>
find_config(const ConfigQuery& query, const std::function<bool(const std::string& path)>& exists);
/// The same with the real file system.
[[nodiscard]] std::optional<std::string> find_config(const ConfigQuery& query);

/// `path` with a leading "~/" replaced by HOME.
[[nodiscard]] std::string expand_home(std::string_view path, const Environment& environment);

} // namespace rbee::config
