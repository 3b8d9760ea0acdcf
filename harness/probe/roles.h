// Roles that plug-ins claim where they register, so that no other file names them. One plug-in has each role:
//
//   const bool registered = register_armer("poke", ...) && claim(Role::ReferenceArmer, "poke");
#pragma once

#include <string>

namespace proberace {

enum class Role {
  ReferencePeer,    // the whole strategy that the others are compared with
  ReferenceArmer,   // covering_strategies() and comparisons of steppers take each stepper beside it
  ReferenceStepper, // the same for armers
  OutOfLineStepper, // a supervisor takes it where it cannot do for a thread what the thread itself can
  StoppingArmer,    // the armer that stops threads and works under every transport
};

// True, so that it can initialise a constant. Two plug-ins that claim one role are a programming error: aborts.
bool claim(Role role, std::string plug_in);
// "" if no plug-in has claimed it.
const std::string& holder_of(Role role);

// For a variant, `name/variant`: `name` alone stands for it from now on, because measurements favour it. True.
// Aborts if another variant of the same name has claimed that.
bool claim_plain_name(const std::string& variant);
// The shortest name of a plug-in: `name` for the favoured `name/variant`.
std::string plain_name(const std::string& plug_in);
// The reverse: the name a plug-in is registered under.
std::string full_name(const std::string& plug_in);

} // namespace proberace
