#include "rbee/audit/writer.hpp"

#include "rbee/audit/own_events.hpp"
#include "rbee/audit/writer_impl.hpp"
#include "rbee/base/assert.hpp"

#include <utility>

namespace rbee::audit {

using detail::unavailable;

Result<std::unique_ptr<Writer>> Writer::open(
    std::unique_ptr<Folder> folder,
    WriterOptions options,
    std::shared_ptr<const Clock> clock,
    Observer observer
) {
    RBEE_ASSERT(options.mode != Mode::off);
    options.journal.mode = to_string(options.mode);
    auto impl = std::make_shared<Impl>(
        std::move(folder), std::move(options), std::move(clock), std::move(observer)
    );
    Impl* raw = impl.get(); // the journal is part of it
    auto journal = Journal::open(
        *impl->folder,
        impl->options.journal,
        impl->clock->wall(),
        [raw](const Notice& notice) { raw->tell(notice); }
    );
    if (!journal) {
        return error_of(journal);
    }
    impl->journal = std::move(*journal);
    impl->writer = std::thread([impl] { impl->run(); });
    impl->watcher = std::thread([impl] { impl->watch(); });
    return std::unique_ptr<Writer>(new Writer(std::move(impl)));
}

Writer::Writer(std::shared_ptr<Impl> impl)
    : Logger(impl->options.mode, impl->options.inference_fails_closed), impl_(std::move(impl)) {}

Writer::~Writer() {
    stop("end of the program");
}

void Writer::submit(Event event, Done done) {
    Result<void> outcome;
    const WallTime at = impl_->clock->wall();
    {
        const std::lock_guard lock(impl_->mutex);
        const std::string& source = event.flood_source();
        impl_->counts.refused += event.fault() ? 1 : 0;
        if (!source.empty() && !impl_->fold.admit(event.type(), source, impl_->clock->now(), at)) {
            ++impl_->counts.suppressed; // it is counted, and the count will be recorded
        } else if (impl_->stopping || impl_->counts.stuck) {
            const bool ended = impl_->stopping;
            impl_->lose(event.kind(), at, ended ? "the log had ended" : "the disk did not answer");
            outcome = unavailable(ended ? "has ended" : "does not answer");
        } else if (impl_->queue.size() >= impl_->options.queue_records_max ||
                   impl_->queue_bytes + event.body().size() > impl_->options.queue_bytes_max) {
            impl_->lose(event.kind(), at, "the queue was full");
            outcome = unavailable("is busy");
        } else {
            impl_->queue_bytes += event.body().size();
            impl_->queue.push_back({std::move(event), at, std::move(done)});
            done = {};
        }
    }
    impl_->changed.notify_all();
    if (done) {
        done(std::move(outcome));
    }
}

Stats Writer::stats() const {
    const std::lock_guard lock(impl_->mutex);
    Stats out = impl_->counts;
    out.waiting = impl_->queue.size();
    return out;
}

void Writer::stop(std::string_view reason) {
    bool ended = false;
    {
        std::unique_lock lock(impl_->mutex);
        if (!impl_->writer.joinable()) {
            return;
        }
        if (!impl_->stopping) {
            impl_->queue.push_back({make_event(AuditStop{reason}), impl_->clock->wall(), {}});
            impl_->queue_bytes += impl_->queue.back().event.body().size();
            impl_->stopping = true;
        }
        impl_->changed.notify_all();
        ended = impl_->changed.wait_for(lock, impl_->options.stop_limit, [this] {
            return impl_->stopped;
        });
    }
    if (!ended) {
        impl_->give_up();
    }
    {
        const std::lock_guard lock(impl_->observing);
        impl_->observer = {};
    }
    // A thread that hangs in the kernel cannot be joined; it keeps what it uses alive.
    for (std::thread* thread : {&impl_->writer, &impl_->watcher}) {
        if (ended) {
            thread->join();
        } else {
            thread->detach();
        }
    }
}

Result<std::unique_ptr<Logger>> open_log(
    const std::string& base_dir,
    WriterOptions options,
    std::shared_ptr<const Clock> clock,
    Observer observer
) {
    auto folder = open_folder(base_dir + "/" + options.journal.service);
    if (!folder) {
        return error_of(folder);
    }
    auto writer =
        Writer::open(std::move(*folder), std::move(options), std::move(clock), std::move(observer));
    return writer ? Result<std::unique_ptr<Logger>>(std::move(*writer))
                  : Result<std::unique_ptr<Logger>>(error_of(writer));
}

} // namespace rbee::audit
