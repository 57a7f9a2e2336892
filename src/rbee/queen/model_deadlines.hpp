#pragma once

#include "rbee/base/result.hpp"
#include "rbee/config/toml_file.hpp"
#include "rbee/queen/options.hpp"

#include <map>
#include <string>

namespace rbee::queen {

/// The tables [[deadline.model]] of the file: by model, the keys of [deadline] that it has, as the
/// texts that flags would carry.
using ModelDeadlines = std::map<std::string, std::map<std::string, std::string>>;

/// Reads them. Fails with Errc::invalid_argument for a table without a name, one that is there
/// twice, and a value of the wrong type.
[[nodiscard]] Result<ModelDeadlines> read_model_deadlines(config::TomlFile& file);

/// Sets Options::deadline_by_model. What a model's table does not say is as for all others, which
/// must have been set before.
[[nodiscard]] Result<void> set_model_deadlines(Options& options, const ModelDeadlines& models);

/// The same by full keys, such as deadline.model."large".max_s.
[[nodiscard]] std::map<std::string, std::string> flattened(const ModelDeadlines& models);

} // namespace rbee::queen
