// Command boot runs a kernel under QEMU whose init is tests/vm/init, and
// reports what the test binaries in there say.
//
// The guest has two serial ports: the kernel logs to the first, and init and
// the tests write to the second. There a line of a binary starts with its name,
// and "@@ " comes before what init has to say: the kernel's release, a binary's
// exit status ("NAME @@ exit 0"), and that this is the end. The exit status of
// this command is 0 only if every binary that the arguments name ended with
// status 0, none skipped a test that has to run here, and the guest came to its
// end in time.
package main
