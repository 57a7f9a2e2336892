#include "rbee/telemetry/metrics.hpp"

#include "rbee/base/assert.hpp"

#include <prometheus/family.h>
#include <prometheus/text_serializer.h>

#include <stdexcept>

namespace rbee::telemetry {
namespace {

/// Runs `make`; the library reports misuse by exceptions, which for us is a defect.
template <typename Make>
auto& made(Make make) {
    decltype(&make()) series = nullptr;
    try {
        series = &make();
    } catch (const std::invalid_argument&) {
        series = nullptr;
    }
    RBEE_ASSERT(series != nullptr);
    return *series;
}

} // namespace

prometheus::Counter&
Metrics::counter(const std::string& name, const std::string& help, const Labels& labels) {
    return made([&]() -> prometheus::Counter& {
        return prometheus::BuildCounter().Name(name).Help(help).Register(registry_).Add(labels);
    });
}

prometheus::Gauge&
Metrics::gauge(const std::string& name, const std::string& help, const Labels& labels) {
    return made([&]() -> prometheus::Gauge& {
        return prometheus::BuildGauge().Name(name).Help(help).Register(registry_).Add(labels);
    });
}

prometheus::Histogram& Metrics::histogram(
    const std::string& name,
    const std::string& help,
    const std::vector<double>& buckets,
    const Labels& labels
) {
    return made([&]() -> prometheus::Histogram& {
        return prometheus::BuildHistogram().Name(name).Help(help).Register(registry_).Add(
            labels, buckets
        );
    });
}

std::string Metrics::text() const {
    return prometheus::TextSerializer().Serialize(registry_.Collect());
}

} // namespace rbee::telemetry
