#include "rbee/queen/inference_job.hpp"

#include "rbee/api/field_reader.hpp"
#include "rbee/api/json.hpp"
#include "rbee/base/ids.hpp"
#include "rbee/domain/model_ref.hpp"
#include "rbee/domain/validate.hpp"

#include <boost/json/serialize.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>
#include <vector>

namespace rbee::queen {

namespace json = boost::json;

namespace {

std::vector<std::string> names_of(const Fleet& fleet) {
    std::vector<std::string> names;
    for (const auto& [name, model] : fleet.models()) {
        names.push_back(name);
    }
    return names;
}

std::string list_of(const std::vector<std::string>& names) {
    return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

} // namespace

Result<std::string> resolve_model(const Fleet& fleet, const std::string& asked) {
    if (asked.empty()) {
        auto names = names_of(fleet);
        if (names.size() == 1) {
            return std::move(names.front());
        }
        return std::unexpected(domain::field_error(
            "model", "required", "model is required; known models: " + list_of(names)
        ));
    }
    const auto ref = domain::parse_model_ref(asked);
    if (std::string name = ref ? ref->to_string() : asked; fleet.knows_model(name)) {
        return name;
    }
    if (!ref) {
        return std::unexpected(domain::in_field(ref.error(), "model"));
    }
    return fail(
        Errc::not_found,
        "the model does not exist here; known models: " + list_of(names_of(fleet)),
        "MODEL_NOT_FOUND"
    );
}

Result<InferenceJob> make_task(const Fleet& fleet, json::object body) {
    const auto node = api::require_string(body, "node");
    if (!node) {
        return error_of(node);
    }
    if (const auto good = domain::check_node_name(*node); !good) {
        return error_of(good);
    }
    const auto asked = api::require_string(body, "model");
    if (!asked) {
        return error_of(asked);
    }
    const auto prompt = api::require_string(body, "prompt");
    if (!prompt) {
        return error_of(prompt);
    }
    if (prompt->contains('\0')) {
        return std::unexpected(
            domain::field_error("prompt", "characters", "prompt contains null bytes")
        );
    }
    std::string backend = "cpu";
    std::uint32_t device = 0;
    api::FieldReader read(body);
    read.checked("backend", backend, domain::check_backend);
    read.number("device", device);
    if (const auto good = read.finish(true); !good) {
        return error_of(good);
    }
    if (fleet.find_hive(*node) == nullptr) {
        return fail(
            Errc::not_found,
            "no hive of this name is known; add it with `rbee hives add`",
            "NODE_NOT_FOUND"
        );
    }
    auto model = resolve_model(fleet, *asked);
    if (!model) {
        return error_of(model);
    }
    const auto given = api::get_string(body, "job_id");
    if (!given) {
        return error_of(given);
    }
    const auto id = domain::check_text("job_id", given->value_or(""), {.bytes_max = 256});
    if (!id) {
        return error_of(id);
    }
    const std::string job_id = given->value_or("job-" + make_uuid());
    for (const char* mine : {"node", "backend", "device"}) {
        body.erase(mine);
    }
    const auto deadline_ms = api::get_unsigned(body, "deadline_ms");
    if (!deadline_ms) {
        return error_of(deadline_ms);
    }
    body["job_id"] = job_id;
    body["stream"] = true;
    InferenceJob job{"/v1/inference", json::serialize(body), {std::move(*model), *node}, job_id};
    job.deadline_ms = *deadline_ms;
    job.stream = true;
    return job;
}

} // namespace rbee::queen
