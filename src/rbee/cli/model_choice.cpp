#include "rbee/cli/model_choice.hpp"

#include "rbee/cli/json_view.hpp"
#include "rbee/cli/printable.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

namespace rbee::cli {
namespace {

constexpr std::string_view demo_model = "rbee-demo";

} // namespace

Result<std::string> choose_model(const boost::json::object& models) {
    std::vector<std::string> names;
    for (const auto& model : list_of(models, {"data", "models"})) {
        std::string id = text_of(model, "id");
        if (id.empty()) {
            continue;
        }
        if (text_of(model, "state") == "ready") {
            return id;
        }
        names.push_back(std::move(id));
    }
    if (names.empty()) {
        return fail(Errc::not_found, "the service has no model", "MODEL_NOT_FOUND");
    }
    if (names.size() == 1) {
        return names.front();
    }
    if (std::ranges::find(names, demo_model) != names.end()) {
        return std::string(demo_model);
    }
    std::string list;
    for (const std::string& name : names) {
        list += (list.empty() ? "" : ", ") + one_line(name);
    }
    return fail(Errc::invalid_argument, "there are several models: " + list, "MODEL_REQUIRED");
}

} // namespace rbee::cli
