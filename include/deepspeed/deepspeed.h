// The C++ API in one include.
#pragma once

#include "deepspeed/distributed.h"  // init_distributed, rank, world_size
#include "deepspeed/engine.h"       // initialize, Engine
#include "deepspeed/error.h"        // what is thrown
#include "deepspeed/pretrained.h"   // load_pretrained
#include "deepspeed/skip_init.h"    // SkipInit: no random weights where pretrained ones follow
