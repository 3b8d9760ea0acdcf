#include "stress/debuggee/watched.h"

namespace proberace {

namespace {

class Supervised final : public Watched {
public:
  explicit Supervised(Supervisor& supervisor) : supervisor_(supervisor) {}

  int descriptor() const override { return supervisor_.descriptor(); }
  void serve() override { supervisor_.serve(); }
  bool lives() const override { return supervisor_.process_lives(); }
  bool in_group_stop() const override { return supervisor_.in_group_stop(); }
  std::optional<int> exit_status() const override { return supervisor_.exit_status(); }
  Status let_go() override { return supervisor_.detach(); }

private:
  Supervisor& supervisor_;
};

} // namespace

std::unique_ptr<Watched> supervised(Supervisor& supervisor) {
  return std::make_unique<Supervised>(supervisor);
}

} // namespace proberace
