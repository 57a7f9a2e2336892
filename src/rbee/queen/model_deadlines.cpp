#include "rbee/queen/model_deadlines.hpp"

#include "rbee/queen/option_rows.hpp"

#include <fmt/format.h>

#include <optional>
#include <string_view>

namespace rbee::queen {
namespace {

std::string last_part(const std::string& key) {
    return key.substr(key.rfind('.'));
}

} // namespace

Result<ModelDeadlines> read_model_deadlines(config::TomlFile& file) {
    constexpr std::string_view list = "deadline.model";
    ModelDeadlines out;
    for (std::size_t i = 0; i < file.count(list); ++i) {
        const std::string table = fmt::format("{}[{}]", list, i);
        const auto named = file.get<std::string>(table + ".name");
        if (!named) {
            return error_of(named);
        }
        const std::string name = named->value_or("");
        if (name.empty() || out.contains(name)) {
            return fail(
                Errc::invalid_argument,
                fmt::format(
                    "{}: {}.name {}",
                    file.name(),
                    table,
                    name.empty() ? "is missing: the model that it is for" : "is there twice"
                )
            );
        }
        auto& texts = out[name];
        for (const OptionRow& row : deadline_rows()) {
            const std::string& key = row.setting.key;
            auto value = config::read_from_file(file, row.setting, table + last_part(key));
            if (!value) {
                return error_of(value);
            }
            if (const std::optional<config::Given>& given = *value) {
                texts[key] = given->text();
            }
        }
    }
    return out;
}

Result<void> set_model_deadlines(Options& options, const ModelDeadlines& models) {
    for (const auto& [model, texts] : models) {
        Options for_model;
        for_model.deadline = options.deadline;
        for (const OptionRow& row : deadline_rows()) {
            const auto found = texts.find(row.setting.key);
            if (found == texts.end()) {
                continue;
            }
            if (const auto applied = apply(row, for_model, found->second); !applied) {
                return std::unexpected(applied.error().within("deadline.model \"" + model + "\""));
            }
        }
        options.deadline_by_model[model] = for_model.deadline;
    }
    return {};
}

std::map<std::string, std::string> flattened(const ModelDeadlines& models) {
    std::map<std::string, std::string> out;
    for (const auto& [model, texts] : models) {
        for (const auto& [key, text] : texts) {
            out[fmt::format("deadline.model.\"{}\"{}", model, last_part(key))] = text;
        }
    }
    return out;
}

} // namespace rbee::queen
