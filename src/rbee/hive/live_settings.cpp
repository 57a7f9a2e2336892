#include "rbee/hive/live_settings.hpp"

#include "rbee/auth/bearer.hpp"
#include "rbee/auth/token_store.hpp"
#include "rbee/pki/tls_files.hpp"

namespace rbee::hive {

void apply_live(
    const Settings& fresh, Settings& running, http::Server& server, telemetry::Logger& log
) {
    running.worker.slots = fresh.worker.slots;
    running.worker.count_max = fresh.worker.count_max;
    running.worker.log_bytes_max = fresh.worker.log_bytes_max;
    running.worker.allow_remote_images = fresh.worker.allow_remote_images;
    running.ram_reserve_bytes = fresh.ram_reserve_bytes;
    running.vram_reserve_bytes = fresh.vram_reserve_bytes;
    running.disk_reserve_bytes = fresh.disk_reserve_bytes;
    running.gpu_temperature_max_c = fresh.gpu_temperature_max_c;
    running.worker.cpu_pinning = fresh.worker.cpu_pinning;
    running.idle = fresh.idle;
    running.restart = fresh.restart;
    running.life.progress = fresh.life.progress;
    running.intervals = fresh.intervals;
    // Workers were started with the old one, and would refuse what the hive lets through.
    const auto inference_body = running.http.inference_body_bytes_max;
    running.http = fresh.http;
    running.http.inference_body_bytes_max = inference_body;
    server.set_options(running.http);
    running.log.level = fresh.log.level;
    log.set_level(running.log.level);
}

Result<void> check_files(const Settings& settings) {
    if (settings.tls.on()) {
        if (const auto usable = pki::server_context(settings.tls); !usable) {
            return error_of(usable);
        }
    }
    if (settings.tls.on() || !settings.tls.ca.empty()) {
        if (const auto usable = pki::client_context(settings.tls, "queen:"); !usable) {
            return error_of(usable);
        }
    }
    auth::Authenticator nobody;
    const auth::KeptTokens& tokens = settings.tokens;
    const auth::TokenFiles files{
        .own = tokens.own.path,
        .credential = tokens.own.credential,
        .named = tokens.named,
        .named_required = tokens.named_required,
    };
    const auto usable = auth::load_tokens(nobody, files, tokens.own.token);
    return usable ? Result<void>() : error_of(usable);
}

} // namespace rbee::hive
