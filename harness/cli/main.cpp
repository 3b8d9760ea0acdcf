#include "harness/cell/cell.h"
#include <cstdio>
#include <string>
using namespace proberace;
int main(int argc, char** argv) {
  start_nursery();
  for (int i = 1; i < argc; ++i) {
    auto spec = parse_cell(argv[i]);
    if (!spec) { std::puts(spec.error().c_str()); return 2; }
    std::puts(to_json(run_cell(*spec)).dump(1).c_str());
  }
}
