#include "rbee/queen/live_options.hpp"

#include "rbee/auth/bearer.hpp"
#include "rbee/auth/token_file.hpp"
#include "rbee/auth/token_store.hpp"
#include "rbee/pki/tls_files.hpp"

namespace rbee::queen {

void apply_live(const Options& fresh, Options& running, const LiveParts& parts) {
    running.queue_capacity = fresh.queue_capacity;
    running.queue_wait = fresh.queue_wait;
    parts.dispatcher.set_limits({.capacity = running.queue_capacity, .wait_max = running.queue_wait}
    );
    running.worker_silence = fresh.worker_silence;
    parts.fleet.set_silence(running.worker_silence);
    running.deadline = fresh.deadline;
    running.deadline_by_model = fresh.deadline_by_model;
    parts.deadlines.set_policies({running.deadline, running.deadline_by_model});
    // The local hive was started with the old one, and would refuse what the queen lets through.
    const auto inference_body = running.http.inference_body_bytes_max;
    running.http = fresh.http;
    running.http.inference_body_bytes_max = inference_body;
    parts.server.set_options(running.http);
    running.log.level = fresh.log.level;
    parts.log.set_level(running.log.level);
}

Result<void> check_files(const Options& options, const auth::FoundToken& token) {
    const pki::TlsFiles& tls = options.tls_files;
    if (tls.on()) {
        if (const auto usable = pki::server_context(tls); !usable) {
            return error_of(usable);
        }
    }
    if (tls.on() || !tls.ca.empty()) {
        if (const auto usable = pki::client_context(tls, "hive:"); !usable) {
            return error_of(usable);
        }
    }
    if (!options.hive_token_file.empty()) {
        if (const auto usable = auth::load_token_file(options.hive_token_file); !usable) {
            return error_of(usable);
        }
    }
    auth::Authenticator nobody;
    const auth::TokenFiles files{
        .own = token.path,
        .credential = token.credential,
        .named = tokens_file(options),
        .named_required = !options.tokens_file.empty(),
    };
    const auto usable = auth::load_tokens(nobody, files, token.token);
    return usable ? Result<void>() : error_of(usable);
}

} // namespace rbee::queen
