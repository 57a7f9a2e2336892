#include "rbee/telemetry/write_behind.hpp"

#include <boost/asio/post.hpp>

#include <functional>
#include <utility>

namespace rbee::telemetry {

WriteBehind::WriteBehind(const Logger& log, boost::asio::any_io_executor executor) : log_(log) {
    log_.write_behind([executor = std::move(executor)](std::function<void()> flush) {
        boost::asio::post(executor, std::move(flush));
    });
}

} // namespace rbee::telemetry
