#include "rbee/engine/llama_request.hpp"

#include "rbee/base/result.hpp"
#include "rbee/engine/client_fields.hpp"
#include "rbee/engine/engine.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "chat.h"
#include "common.h"
#include "json.h"
#include "llama.h"
#include "mtmd-helper.h"
#include "server-chat.h"
#include "server-common.h"
#include "server-context.h"
#include "server-queue.h"
#include "server-schema.h"
#include "server-task.h"

namespace rbee::engine {
namespace {

// OpenAI allows 2048 prompts in one request; each is a task in a queue that has no bound itself.
constexpr std::size_t prompts_max = 2048;

struct Body {
    json data; ///< In llama.cpp's own completion fields.
    std::vector<raw_buffer> files;
};

/// The body in llama.cpp's own fields. Throws what the converters throw.
Body to_completion_fields(const GenerationRequest& request, const TaskContext& context) {
    const server_context_meta& meta = context.meta;
    Body body{.data = parse_body(request.body), .files = {}};
    if (!body.data.is_object()) {
        throw std::invalid_argument("the body must be a JSON object");
    }
    restrict_client_fields(body.data, meta.slot_n_ctx);
    if (!context.allow_remote_images) {
        refuse_remote_media(body.data);
    }
    body.data["stream"] = request.stream;
    switch (request.dialect) {
    case Dialect::infer:
    case Dialect::completions:
        if (!body.data.contains("prompt")) {
            throw std::invalid_argument("\"prompt\" is required");
        }
        return body;
    case Dialect::chat:
        break;
    case Dialect::responses:
        body.data = server_chat_convert_responses_to_chatcmpl(body.data);
        break;
    case Dialect::messages:
        body.data = server_chat_convert_anthropic_to_oai(body.data);
        break;
    }
    body.data = oaicompat_chat_params_parse(body.data, meta.chat_params, body.files);
    return body;
}

/// One token list per prompt; for a model with vision empty ones, see set_media_input().
std::vector<server_tokens> tokenize(const json& prompt, const TaskContext& context) {
    if (context.meta.has_mtmd) {
        if (!prompt.is_string()) {
            throw std::invalid_argument("with this model \"prompt\" must be one string");
        }
        return std::vector<server_tokens>(1);
    }
    return tokenize_input_prompts(
        context.vocab, nullptr, prompt, true, true, mtmd_helper_init_opt_default()
    );
}

/// The projector is out of reach from here, so the inference loop tokenises text with media.
void set_media_input(server_task& task, Body& body) {
    if (task.params.n_cmpl > 1) {
        throw std::invalid_argument("with this model \"n\" must be 1");
    }
    task.cli = true;
    task.cli_prompt = body.data.at("prompt").get<std::string>();
    task.cli_files = std::move(body.files);
}

/// Finds mistakes here, where they cost no slot (and where llama.cpp does not leak a sampler).
void check_grammar(const llama_vocab* vocab, const common_grammar& grammar) {
    if (grammar.type != COMMON_GRAMMAR_TYPE_USER) {
        return;
    }
    llama_sampler* sampler = llama_sampler_init_grammar(vocab, grammar.grammar.c_str(), "root");
    if (sampler == nullptr) {
        throw std::invalid_argument("\"grammar\" cannot be parsed");
    }
    llama_sampler_free(sampler);
}

std::uint32_t random_seed() {
    std::random_device device;
    std::uint32_t seed = device();
    while (seed == LLAMA_DEFAULT_SEED) {
        seed = device();
    }
    return seed;
}

void check_count(Dialect dialect, std::size_t prompts, int choices) {
    const bool several_allowed = dialect == Dialect::chat || dialect == Dialect::completions;
    if (!several_allowed && (prompts > 1 || choices > 1)) {
        throw std::invalid_argument("one request gives one answer here: one prompt, n = 1");
    }
    if (prompts > prompts_max) {
        throw std::invalid_argument(
            "at most " + std::to_string(prompts_max) + " prompts per request"
        );
    }
}

/// Makes the tasks of one request, which share all parameters and the seed.
class TaskMaker {
public:
    TaskMaker(
        const GenerationRequest& request, const TaskContext& context, server_response_reader& reader
    )
        : request_(request), context_(context), reader_(reader),
          body_(to_completion_fields(request, context)),
          delimiters_(common_chat_msg_delimiters_parse(
              json_value(body_.data, "message_delimiters", json::array())
          )),
          completion_id_(gen_chatcmplid()) {
        delimiters_.tokenize(context.vocab);
    }

    PreparedTasks make() {
        PreparedTasks prepared;
        std::vector<server_tokens> prompts = tokenize(body_.data.at("prompt"), context_);
        check_count(request_.dialect, prompts.size(), 1);
        for (server_tokens& prompt : prompts) {
            prepared.tasks.push_back(make_one(std::move(prompt)));
        }
        if (prepared.tasks.empty()) {
            throw std::invalid_argument("\"prompt\" must not be empty");
        }
        prepared.seed = seed_;
        return prepared;
    }

private:
    server_task make_one(server_tokens prompt) {
        server_task task(SERVER_TASK_TYPE_COMPLETION);
        task.id = reader_.get_new_id();
        task.tokens = std::move(prompt);
        task.params = server_schema::eval_llama_cmpl_schema(
            context_.vocab, context_.params, context_.meta.logit_bias_eog, body_.data
        );
        check_count(request_.dialect, 1, task.params.n_cmpl);
        check_grammar(context_.vocab, task.params.sampling.grammar);
        task.params.message_spans = task.tokens.find_message_spans(delimiters_);
        task.id_slot = json_value(body_.data, "id_slot", -1);
        set_answer_format(task.params);
        set_seed(task.params.sampling);
        if (context_.meta.has_mtmd) {
            set_media_input(task, body_);
        }
        for (int i = 1; i < task.params.n_cmpl; ++i) {
            task.add_child(task.id, reader_.get_new_id());
        }
        return task;
    }

    void set_answer_format(task_params& params) const {
        params.res_type = response_type(request_.dialect);
        params.oaicompat_cmpl_id = completion_id_;
        params.oaicompat_model = context_.meta.model_name;
        params.stream = request_.stream;
        if (request_.dialect == Dialect::infer) {
            params.return_tokens = true;
            params.return_progress = false;
        }
    }

    /// Chooses the seed when the client did not, so that the generation can be repeated.
    void set_seed(common_params_sampling& sampling) {
        if (seed_ == LLAMA_DEFAULT_SEED) {
            seed_ = sampling.seed == LLAMA_DEFAULT_SEED ? random_seed() : sampling.seed;
        }
        sampling.seed = seed_;
    }

    const GenerationRequest& request_;
    const TaskContext& context_;
    server_response_reader& reader_;
    Body body_;
    common_chat_msg_delimiters delimiters_;
    const std::string completion_id_;
    std::uint32_t seed_ = LLAMA_DEFAULT_SEED; ///< That means: not chosen yet.
};

} // namespace

Result<PreparedTasks> prepare_tasks(
    const GenerationRequest& request, const TaskContext& context, server_response_reader& reader
) {
    if (nests_too_deep(request.body)) {
        return fail(Errc::invalid_argument, "the JSON body nests too deep");
    }
    try {
        return TaskMaker(request, context, reader).make();
    } catch (const std::bad_alloc&) {
        return fail(Errc::resources, "not enough memory to read the request");
    } catch (const std::exception& error) {
        // Everything up to here depends on the body alone; chat templates and grammars report
        // what is wrong with it as plain runtime_error.
        return fail(Errc::invalid_argument, error.what());
    }
}

task_response_type response_type(Dialect dialect) {
    switch (dialect) {
    case Dialect::infer:
        return TASK_RESPONSE_TYPE_NONE;
    case Dialect::completions:
        return TASK_RESPONSE_TYPE_OAI_CMPL;
    case Dialect::chat:
        return TASK_RESPONSE_TYPE_OAI_CHAT;
    case Dialect::responses:
        return TASK_RESPONSE_TYPE_OAI_RESP;
    case Dialect::messages:
        return TASK_RESPONSE_TYPE_ANTHROPIC;
    }
    return TASK_RESPONSE_TYPE_NONE;
}

Error to_error(const server_task_result_error& result) {
    switch (result.err_type) {
    case ERROR_TYPE_INVALID_REQUEST:
    case ERROR_TYPE_EXCEED_CONTEXT_SIZE:
        return {Errc::invalid_argument, result.err_msg};
    case ERROR_TYPE_UNAVAILABLE:
        return {Errc::unavailable, result.err_msg};
    case ERROR_TYPE_NOT_SUPPORTED:
        return {Errc::unsupported, result.err_msg};
    case ERROR_TYPE_NOT_FOUND:
        return {Errc::not_found, result.err_msg};
    case ERROR_TYPE_AUTHENTICATION:
    case ERROR_TYPE_PERMISSION:
    case ERROR_TYPE_SERVER:
        break;
    }
    return {Errc::internal, result.err_msg};
}

} // namespace rbee::engine
