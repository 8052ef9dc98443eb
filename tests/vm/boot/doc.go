// Command boot runs test binaries on a kernel under QEMU whose init is
// tests/vm/init, and reports what they say.
//
// The guest has two serial ports: the kernel logs to the first, and init and
// the tests write to the second. There a line of a unit, which is some tests of
// one binary, starts with the unit's name, and "@@ " comes before what init has
// to say: the kernel's release, that a lane asks for its next unit, a unit's
// exit status ("NAME @@ exit 0"), and that this is the end. A unit is told to
// the guest as a line "NAME BINARY PATTERN". For some time each boot gets units
// as it asks for them; what is left then is for the next boot.
//
// The exit status of this command is 0 only if every test of every binary ran
// exactly once and passed, or was skipped and may be, and every guest came to
// its end in time.
package main
