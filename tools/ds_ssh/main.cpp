// The `ds_ssh` command. It links no torch, so that it starts in milliseconds.
#include "hosts/ds_ssh.h"

int main(int argc, char** argv) {
  return deepspeed::hosts::run_tool("ds_ssh", argc, argv, deepspeed::hosts::run_ds_ssh);
}
