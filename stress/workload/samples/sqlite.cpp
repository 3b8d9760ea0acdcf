// libsqlite3: a script in memory whose answers are computed here, too, and SQLite's own integrity check.
#include <cstdint>
#include <sqlite3.h>
#include <string>

namespace {

class Database {
public:
  Database() { opened_ = sqlite3_open(":memory:", &db_) == SQLITE_OK; }
  ~Database() { sqlite3_close(db_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  bool run(const char* script) {
    return opened_ && sqlite3_exec(db_, script, nullptr, nullptr, nullptr) == SQLITE_OK;
  }
  // The first column of the only row.
  std::string ask(const char* question) {
    std::string answer;
    const auto keep = [](void* to, int, char** columns, char**) {
      *static_cast<std::string*>(to) = columns[0] != nullptr ? columns[0] : "";
      return 0;
    };
    return sqlite3_exec(db_, question, keep, &answer, nullptr) == SQLITE_OK ? answer : "error";
  }

private:
  sqlite3* db_ = nullptr;
  bool opened_ = false;
};

} // namespace

extern "C" int proberace_workload(std::uint64_t seed) {
  Database db;
  if (!db.run("create table t(id integer primary key, word text, n integer); create index by_n on t(n);"))
    return 1;
  std::string script = "begin;";
  std::int64_t sum = 0, large = 0;
  for (int i = 1; i <= 7; ++i) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    const auto n = static_cast<std::int64_t>(seed >> 44) - 500'000;
    sum += n;
    large += n > 0 ? 1 : 0;
    script += "insert into t(word, n) values('w" + std::to_string(i) + "', " + std::to_string(n) + ");";
  }
  if (!db.run((script + "commit;").c_str()))
    return 2;
  if (db.ask("select sum(n) from t") != std::to_string(sum))
    return 3;
  if (db.ask("select count(*) from t where n > 0") != std::to_string(large))
    return 4;
  if (db.ask("select word from t where n = (select n from t where id = 7) and id = 7") != "w7")
    return 5;
  if (!db.run("update t set n = n + 1 where id % 3 = 0; delete from t where id = 1;"))
    return 6;
  if (db.ask("select count(*) || ' ' || max(id) from t") != "6 7")
    return 7;
  return db.ask("pragma integrity_check") == "ok" ? 0 : 8;
}

extern "C" const void* const* proberace_workload_objects() {
  static const void* const kObjects[] = {reinterpret_cast<const void*>(&sqlite3_libversion), nullptr};
  return kObjects;
}
