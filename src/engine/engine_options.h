// What a config means for the parts: the only place where config keys become options.
#pragma once

#include "config/config.h"
#include "precision/loss_scaler.h"
#include "zero/options.h"

namespace deepspeed::engine {

zero::Options zero_options(const config::Config& config);

/// Whether whole parameters live only while they are used.
bool releases_parameters(const config::Config& config);

precision::LossScaler make_loss_scaler(const config::Config& config);

/// Whether steps with inf or nan are skipped.
bool checks_overflow(const config::Config& config);

}  // namespace deepspeed::engine
