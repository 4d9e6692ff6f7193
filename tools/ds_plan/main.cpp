// The `ds_plan` command. It links no torch, so that it starts in milliseconds.
#include <iostream>

#include "plan/ds_plan.h"

int main(int argc, char** argv) { return deepspeed::plan::run_ds_plan({argv + 1, argv + argc}, std::cout, std::cerr); }
