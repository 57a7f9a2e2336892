#pragma once

#include "rbee/telemetry/log.hpp"

#include <boost/asio/any_io_executor.hpp>

namespace rbee::telemetry {

/// While it lives, lines below a warning are written once for each turn of a loop: see
/// Logger::write_behind(). Must go before the loop does.
class WriteBehind {
public:
    WriteBehind(const Logger& log, boost::asio::any_io_executor executor);
    WriteBehind(const WriteBehind&) = delete;
    WriteBehind& operator=(const WriteBehind&) = delete;
    ~WriteBehind() { log_.write_behind(nullptr); }

private:
    Logger log_;
};

} // namespace rbee::telemetry
