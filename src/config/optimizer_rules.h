// Names and keyword arguments of the optimizer and scheduler sections, checked and brought to one spelling.
#pragma once

namespace deepspeed::config {

struct Config;

/// Throws ConfigError for a name that resembles a known one, or a wrong argument of an optimizer that we build.
/// Afterwards `type` of ours is in lower case and `params` is an object with numbers where numbers belong.
void check_optimizer(Config& config);

/// The same for the scheduler; the five names of DeepSpeed are spelt as DeepSpeed does.
void check_scheduler(Config& config);

}  // namespace deepspeed::config
