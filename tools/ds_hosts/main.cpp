// The `ds_hosts` command. It links no torch, so that it starts in milliseconds.
#include "hosts/ds_hosts.h"

int main(int argc, char** argv) {
  return deepspeed::hosts::run_tool("ds_hosts", argc, argv, deepspeed::hosts::run_ds_hosts);
}
