// The `ds_check` command. It links no torch, so that it starts in milliseconds.
#include "hosts/ds_check.h"

int main(int argc, char** argv) {
  return deepspeed::hosts::run_tool("ds_check", argc, argv, deepspeed::hosts::run_ds_check);
}
