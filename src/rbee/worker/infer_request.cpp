#include "rbee/worker/infer_request.hpp"

#include "rbee/domain/validate.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string_view>

namespace rbee::worker {

namespace json = boost::json;

namespace {

constexpr std::size_t prompt_chars_max = 32768;
constexpr std::size_t job_id_bytes_max = 256;
constexpr std::uint64_t max_tokens_max = 2048;
constexpr std::size_t stops_max = 4;
constexpr std::size_t stop_bytes_max = 100;

/// Characters of UTF-8 text: every byte but continuation bytes begins one.
std::size_t count_chars(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    }));
}

/// Reads members and collects what is wrong with them.
class Fields {
public:
    explicit Fields(const json::object& body) : body_(body) {}

    [[nodiscard]] std::vector<FieldError> take_errors() { return std::move(errors_); }
    [[nodiscard]] bool failed() const { return !errors_.empty(); }

    void refuse(
        std::string_view field,
        std::string constraint,
        std::string_view rule,
        const json::value* value = nullptr
    ) {
        FieldError error{
            std::string(field), std::move(constraint), fmt::format("{} {}", field, rule), {}
        };
        if (value != nullptr && value->is_number()) {
            error.value = *value;
        }
        errors_.push_back(std::move(error));
    }

    [[nodiscard]] const json::value* find(std::string_view field) const {
        const json::value* value = body_.if_contains(field);
        return value == nullptr || value->is_null() ? nullptr : value;
    }

    /// Nothing when absent or, with a recorded error, of another type.
    std::optional<std::string> text(std::string_view field) {
        const json::value* value = find(field);
        if (value == nullptr) {
            return std::nullopt;
        }
        if (!value->is_string()) {
            refuse(field, "type(string)", "must be a string", value);
            return std::nullopt;
        }
        return std::string(value->get_string());
    }

    std::optional<std::uint64_t>
    whole(std::string_view field, std::uint64_t min, std::uint64_t max) {
        const json::value* value = find(field);
        if (value == nullptr) {
            return std::nullopt;
        }
        const bool negative = value->is_int64() && value->get_int64() < 0;
        if (!value->is_uint64() && !value->is_int64()) {
            refuse(field, "type(integer)", "must be a whole number", value);
            return std::nullopt;
        }
        const std::uint64_t number = value->is_uint64()
                                         ? value->get_uint64()
                                         : static_cast<std::uint64_t>(value->get_int64());
        if (negative || number < min || number > max) {
            const std::string rule = fmt::format("must be between {} and {}", min, max);
            refuse(field, fmt::format("range({}..={})", min, max), rule, value);
            return std::nullopt;
        }
        return number;
    }

    std::optional<double> number(std::string_view field, double max) {
        const json::value* value = find(field);
        if (value == nullptr) {
            return std::nullopt;
        }
        if (!value->is_number()) {
            refuse(field, "type(number)", "must be a number");
            return std::nullopt;
        }
        const auto number = value->to_number<double>();
        if (!(number >= 0.0 && number <= max)) {
            const std::string rule = fmt::format("must be between 0.0 and {:.1f}", max);
            refuse(field, fmt::format("range(0.0..={:.1f})", max), rule, value);
            return std::nullopt;
        }
        return number;
    }

    std::optional<bool> flag(std::string_view field) {
        const json::value* value = find(field);
        if (value == nullptr) {
            return std::nullopt;
        }
        if (!value->is_bool()) {
            refuse(field, "type(boolean)", "must be true or false", value);
            return std::nullopt;
        }
        return value->get_bool();
    }

private:
    const json::object& body_;
    std::vector<FieldError> errors_;
};

void read_texts(Fields& fields, InferRequest& out) {
    if (auto job_id = fields.text("job_id")) {
        if (job_id->empty()) {
            fields.refuse("job_id", "non_empty", "must not be empty");
        } else if (job_id->size() > job_id_bytes_max) {
            fields.refuse(
                "job_id",
                fmt::format("max_length({})", job_id_bytes_max),
                fmt::format("must have at most {} bytes", job_id_bytes_max)
            );
        } else if (!domain::check_text("job_id", *job_id)) {
            fields.refuse("job_id", "characters", "contains control characters");
        }
        out.job_id = std::move(*job_id);
    }
    if (fields.find("prompt") == nullptr) {
        fields.refuse("prompt", "required", "is required");
        return;
    }
    auto prompt = fields.text("prompt");
    if (!prompt) {
        return;
    }
    if (prompt->contains('\0')) {
        fields.refuse("prompt", "characters", "contains null bytes");
    }
    const std::size_t chars = count_chars(*prompt);
    if (chars == 0 || chars > prompt_chars_max) {
        fields.refuse(
            "prompt",
            fmt::format("length(1..={})", prompt_chars_max),
            fmt::format("must have 1 to {} characters", prompt_chars_max)
        );
    }
    out.prompt = std::move(*prompt);
}

void read_stops(Fields& fields, InferRequest& out) {
    const json::value* stop = fields.find("stop");
    if (stop == nullptr) {
        return;
    }
    if (!stop->is_array()) {
        fields.refuse("stop", "type(array)", "must be an array of strings", stop);
        return;
    }
    const json::array& items = stop->get_array();
    if (items.size() > stops_max) {
        fields.refuse(
            "stop",
            fmt::format("max_count({})", stops_max),
            fmt::format("must have at most {} items", stops_max)
        );
        return;
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
        const std::string name = fmt::format("stop[{}]", i);
        if (!items[i].is_string()) {
            fields.refuse(name, "type(string)", "must be a string", &items[i]);
        } else if (items[i].get_string().empty()) {
            fields.refuse(name, "non_empty", "must not be empty");
        } else if (items[i].get_string().size() > stop_bytes_max) {
            fields.refuse(
                name,
                fmt::format("max_length({})", stop_bytes_max),
                fmt::format("must have at most {} bytes", stop_bytes_max)
            );
        } else {
            out.stop.emplace_back(items[i].get_string());
        }
    }
}

void read_sampling(Fields& fields, InferRequest& out) {
    constexpr std::uint64_t u32_max = std::numeric_limits<std::uint32_t>::max();
    constexpr std::uint64_t u64_max = std::numeric_limits<std::uint64_t>::max();
    const auto max_tokens = fields.whole("max_tokens", 1, max_tokens_max);
    out.max_tokens = static_cast<std::uint32_t>(max_tokens.value_or(out.max_tokens));
    out.temperature = fields.number("temperature", 2.0).value_or(out.temperature);
    out.seed = fields.whole("seed", 0, u64_max);
    out.top_p = fields.number("top_p", 1.0).value_or(out.top_p);
    out.top_k = static_cast<std::uint32_t>(fields.whole("top_k", 0, u32_max).value_or(out.top_k));
    out.repetition_penalty =
        fields.number("repetition_penalty", 2.0).value_or(out.repetition_penalty);
    out.min_p = fields.number("min_p", 1.0).value_or(out.min_p);
    out.stream = fields.flag("stream").value_or(out.stream);
}

/// Settings that are each fine and together leave nothing to choose from.
void check_consistency(Fields& fields, const InferRequest& request) {
    if (request.top_k > 0 && request.top_k < 10 && request.top_p < 0.5) {
        fields.refuse(
            "top_k",
            "consistent(top_p)",
            "below 10 together with top_p below 0.5 is too narrow",
            fields.find("top_k")
        );
    }
    if (request.min_p > 0.5 && request.temperature < 0.5) {
        fields.refuse(
            "min_p",
            "consistent(temperature)",
            "above 0.5 together with temperature below 0.5 is too narrow",
            fields.find("min_p")
        );
    }
}

} // namespace

InferRequestOrErrors parse_infer_request(const json::object& body) {
    Fields fields(body);
    InferRequest request;
    read_texts(fields, request);
    read_sampling(fields, request);
    read_stops(fields, request);
    check_consistency(fields, request);
    if (fields.failed()) {
        return fields.take_errors();
    }
    return request;
}

json::object to_details(const std::vector<FieldError>& errors) {
    json::array list;
    for (const FieldError& error : errors) {
        json::object item{
            {"field", error.field}, {"constraint", error.constraint}, {"message", error.message}
        };
        if (error.value) {
            item["value"] = *error.value;
        }
        list.push_back(std::move(item));
    }
    return {{"errors", std::move(list)}};
}

Error to_error(const std::vector<FieldError>& errors) {
    std::string message = errors.size() == 1
                              ? std::string()
                              : fmt::format("{} fields are not valid: ", errors.size());
    for (std::size_t i = 0; i < errors.size(); ++i) {
        message += (i == 0 ? "" : "; ") + errors[i].message;
    }
    return {Errc::invalid_argument, std::move(message), {}};
}

std::uint32_t to_engine_seed(std::uint64_t seed) {
    constexpr std::uint32_t random_marker = std::numeric_limits<std::uint32_t>::max();
    const auto folded = static_cast<std::uint32_t>(seed ^ (seed >> 32U));
    return folded == random_marker ? random_marker - 1 : folded;
}

std::string to_engine_body(const InferRequest& request, std::uint64_t seed) {
    json::array stop;
    for (const std::string& text : request.stop) {
        stop.emplace_back(text);
    }
    // A penalty of 0 would divide by zero: it is read as "off", as 0 is for the other settings.
    const double penalty = request.repetition_penalty == 0.0 ? 1.0 : request.repetition_penalty;
    const json::object body{
        {"prompt", request.prompt},
        {"n_predict", request.max_tokens},
        {"temperature", request.temperature},
        {"seed", to_engine_seed(seed)},
        {"top_p", request.top_p},
        {"top_k", request.top_k},
        {"repeat_penalty", penalty},
        {"min_p", request.min_p},
        {"stop", std::move(stop)},
        {"stream", true},
    };
    return json::serialize(body);
}

} // namespace rbee::worker
